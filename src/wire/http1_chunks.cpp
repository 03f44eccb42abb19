#include "wire/http1_chunks.hpp"

#include <algorithm>

#include "wire/http1_faults.hpp"
#include "wire/http1_syntax.hpp"

namespace tunnel_uring::http1 {

namespace {

// 15 digits: 2^60 - 1 bytes, far from where any peer's integers overflow.
constexpr std::uint8_t most_digits = 15;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    const char lower = to_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != 0x7F); }

}  // namespace

const http_fault* chunk_decoder::read(bytes_view& input, std::vector<bytes_view>& body) {
    while (!input.empty() && at_ != place::over) {
        if (at_ == place::data) {
            const std::size_t count = std::min<std::uint64_t>(size_, input.size());
            body.push_back(input.first(count));
            input = input.subspan(count);
            size_ -= count;
            if (size_ == 0) at_ = place::data_cr;
            continue;
        }
        const char c = std::to_integer<char>(input.front());
        input = input.subspan(1);
        if (const http_fault* const wrong = step(c)) return wrong;
    }
    return nullptr;
}

const http_fault* chunk_decoder::step(char c) noexcept {
    switch (at_) {
        case place::size_first:
        case place::size: return step_size(c);
        case place::line_lf:
            if (c != '\n') return &faults::bad_chunk_size;
            at_ = size_ == 0 ? place::over : place::data;
            digits_ = 0;
            return nullptr;
        case place::data_cr:
            if (c != '\r') return &faults::bad_chunk_end;
            at_ = place::data_lf;
            return nullptr;
        case place::data_lf:
            if (c != '\n') return &faults::bad_chunk_end;
            at_ = place::size_first;
            return nullptr;
        default: return step_extension(c);
    }
}

const http_fault* chunk_decoder::step_size(char c) noexcept {
    const int digit = hex_digit(c);
    if (digit < 0)
        return at_ == place::size ? end_of_name_or_value(c, &faults::bad_chunk_size)
                                  : &faults::bad_chunk_size;
    if (digits_ == most_digits) return &faults::bad_chunk_size;
    digits_ += 1;
    size_ = size_ * 16 + static_cast<std::uint64_t>(digit);
    at_ = place::size;
    return nullptr;
}

const http_fault* chunk_decoder::end_of_name_or_value(char c,
                                                      const http_fault* otherwise) noexcept {
    if (c != '\r' && c != ';') return otherwise;
    at_ = c == '\r' ? place::line_lf : place::extension_name_first;
    return nullptr;
}

const http_fault* chunk_decoder::step_extension(char c) noexcept {
    const http_fault* const wrong = &faults::bad_chunk_extension;
    if (extension_bytes_left_ == 0) return &faults::chunk_extensions_too_long;
    extension_bytes_left_ -= 1;
    switch (at_) {
        case place::extension_name_first:
            if (!is_token_char(c)) return wrong;
            at_ = place::extension_name;
            return nullptr;
        case place::extension_name:
            if (is_token_char(c)) return nullptr;
            if (c != '=') return end_of_name_or_value(c, wrong);
            at_ = place::extension_value_first;
            return nullptr;
        case place::extension_value_first:
            if (c != '"' && !is_token_char(c)) return wrong;
            at_ = c == '"' ? place::quoted : place::extension_value;
            return nullptr;
        case place::extension_value:
            return is_token_char(c) ? nullptr : end_of_name_or_value(c, wrong);
        case place::quoted:
            if (!is_text(c)) return wrong;
            if (c == '"') at_ = place::after_quoted;
            if (c == '\\') at_ = place::quoted_pair;
            return nullptr;
        case place::quoted_pair:
            if (!is_text(c)) return wrong;
            at_ = place::quoted;
            return nullptr;
        default: return end_of_name_or_value(c, wrong);
    }
}

}  // namespace tunnel_uring::http1
