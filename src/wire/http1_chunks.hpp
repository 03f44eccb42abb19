// Takes a chunked body apart, up to its trailers (RFC 9112, section 7.1).
//
// Not llhttp: it takes extensions without a name (";=b", ";;a") or a value ("a="), and any number
// of bytes of them. Here white space is refused too, which the grammar allows as "bad" between a
// size and its extensions: no sender is known to use it, and readers differ in what they make of
// it.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring::http1 {

class chunk_decoder {
  public:
    explicit chunk_decoder(std::uint32_t extension_bytes = 0) noexcept
        : extension_bytes_left_{extension_bytes} {}

    // Consumes from the front of `input` up to the end of the last chunk's line: then over().
    // Pieces of data are appended to `body`, as views. A fault, or null.
    const http_fault* read(bytes_view& input, std::vector<bytes_view>& body);
    bool over() const noexcept { return at_ == place::over; }

  private:
    enum class place : std::uint8_t {
        size_first,
        size,
        extension_name_first,
        extension_name,
        extension_value_first,
        extension_value,
        quoted,
        quoted_pair,
        after_quoted,
        line_lf,
        data,
        data_cr,
        data_lf,
        over,
    };

    const http_fault* step(char c) noexcept;
    const http_fault* step_size(char c) noexcept;
    const http_fault* step_extension(char c) noexcept;
    const http_fault* end_of_name_or_value(char c, const http_fault* otherwise) noexcept;

    std::uint64_t size_ = 0;  // Of the chunk; in `data`: what is left of it.
    std::uint32_t extension_bytes_left_;
    std::uint8_t digits_ = 0;
    place at_ = place::size_first;
};

}  // namespace tunnel_uring::http1
