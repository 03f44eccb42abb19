// The body of an HTTP message between a connection and an exchange, either way. Both ends of the
// tunnel use both: a request's body goes from the visitor in at the relay, and out to the upstream
// at the agent; a response's goes the other way.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "net/stream.hpp"
#include "tunnel/exchange.hpp"
#include "tunnel/http_input.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

// How fast whoever is at the other end of a connection must be while a body is under way: it may
// be waited for a while, and longer the more it has moved. (A reader that pauses has moved much.)
class body_pace {
  public:
    // 0: no limit.
    body_pace(io_context& io, std::uint32_t bytes_per_second) noexcept
        : io_{io}, rate_{bytes_per_second} {}

    // How long the next wait may be.
    duration patience() const noexcept;
    void waited_since(time_point began) noexcept { waited_ += io_.now() - began; }
    void moved(std::uint64_t bytes) noexcept { moved_ += bytes; }
    std::uint64_t moved() const noexcept { return moved_; }
    io_context& io() const noexcept { return io_; }

  private:
    io_context& io_;
    std::uint32_t rate_;
    std::uint64_t moved_ = 0;
    duration waited_{0};
};

enum class body_end : std::uint8_t {
    complete,  // To its last byte.
    unwanted,  // The exchange is over, or its peer wants no more.
    failed,    // The message is malformed: http_reader::fault().
    broken,    // The connection broke, or ended too early.
    too_slow,
};

// Connection → exchange: what `reader` makes of it, as it comes, trailers included. What comes
// after the message stays in `input`. All outlive it.
class body_sender {
  public:
    body_sender(exchange& to, http_reader& reader, http_input& input, local_end& end,
                body_pace& pace) noexcept
        : to_{to}, reader_{reader}, input_{input}, end_{end}, pace_{pace} {}

    // From the end of the head to the end of the message. It does not end the sending.
    task<body_end> run();

  private:
    task<std::optional<body_end>> receive(std::size_t room);
    task<std::optional<body_end>> receive_run_piece();
    task<std::optional<body_end>> splice_run_piece();
    void end_run() noexcept;
    task<std::optional<body_end>> read(std::size_t room);
    task<> put();
    std::optional<body_end> after(http_reader::event event);
    body_end end_of_connection();

    exchange& to_;
    http_reader& reader_;
    http_input& input_;
    local_end& end_;
    body_pace& pace_;
    std::vector<bytes_view> pieces_;
    std::vector<iovec> vectors_;
    // Of a run, while it lasts. Chunks are taken out of memory; raw bytes go through the pipe.
    std::unique_ptr<std::byte[]> memory_;
    std::optional<splice_pipe> pipe_;
    std::optional<bool> may_splice_;
};

// Told of what becomes of a message.
class body_listener {
  public:
    // Bytes of the body have left the exchange: who wants to write them again must keep them.
    virtual void took(std::span<const iovec> body) = 0;
    // Whether it wants to see the body's bytes.
    virtual bool keeps() const noexcept = 0;
    // Trailers, or bytes that are spliced: what nobody can keep.
    virtual void took_unseen() = 0;
    // Something has been written.
    virtual void wrote() = 0;

  protected:
    ~body_listener() = default;
};

// Exchange → connection: the head, then the body in its framing and the trailers, each as soon as
// it is there; what is there together leaves in one send. All outlive it.
class body_writer {
  public:
    // `head` is whole, with the fields of `body`'s framing; the first `written` bytes of the body
    // may follow in it. `stop` is requested at the latest when the exchange is over.
    body_writer(exchange& from, stream& to, std::string head, const http_body& body,
                std::uint64_t written, body_pace& pace, cancel_token stop,
                body_listener* listener = nullptr) noexcept
        : from_{from},
          to_{to},
          head_{std::move(head)},
          body_{body},
          pace_{pace},
          stop_{stop},
          listener_{listener},
          bytes_{written} {}

    // Until the message is written. `broken`: the connection takes no more; `unwanted`: the
    // exchange is over, or `stop`; `failed`: the peer sent another body than it announced.
    task<body_end> run();
    std::uint64_t body_bytes() const noexcept { return bytes_; }
    // Whether the message is written, whatever the exchange has told of its end.
    bool written() const noexcept;

  private:
    using arrival = exchange::arrival;
    task<std::optional<body_end>> take(arrival what);
    task<std::optional<body_end>> write_queued();
    task<std::optional<body_end>> write_run();
    task<std::optional<body_end>> splice_run(splice_pipe& pipe);
    task<std::optional<body_end>> drain(splice_pipe& pipe, std::size_t bytes);
    task<std::optional<body_end>> write_end(std::string trailers);
    task<std::optional<body_end>> write(std::span<const iovec> body, bool last);
    void took(std::span<const iovec> body);
    bool fits(std::uint64_t bytes) const noexcept;

    exchange& from_;
    stream& to_;
    std::string head_;
    http_body body_;
    body_pace& pace_;
    cancel_token stop_;
    body_listener* listener_;
    std::uint64_t bytes_;
    bool ended_ = false;  // The last chunk is written.
    std::array<iovec, full_window / block_pool::block_bytes + 1> pieces_;  // Of the body.
    // Those with head and chunk header before them, and the end of the chunk behind.
    std::array<iovec, std::tuple_size_v<decltype(pieces_)> + 3> vectors_;
    std::array<char, 18> chunk_;
};

}  // namespace tunnel_uring
