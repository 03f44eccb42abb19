// HTTP/1.1 messages without I/O: heads read strictly, bodies by their framing (RFC 9110, RFC 9112).
//
// What could be understood in two ways is refused, never guessed: both Content-Length and
// Transfer-Encoding, several Content-Lengths, a Transfer-Encoding other than one `chunked`, a bare
// CR or LF, a folded line, control bytes, white space before a colon, malformed chunks, a missing
// or repeated Host, an absolute target whose authority is not Host.
//
// A head is handed out in the form in which it travels: the start line without the version, then
// "name: value\r\n" for each field that goes on. Framing and hop-by-hop fields (RFC 9110, section
// 7.6.1) are not among them: who writes the message next writes its own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace tunnel_uring {

enum class body_framing : std::uint8_t { none = 0, length = 1, chunked = 2, until_close = 3 };

struct http_body {
    body_framing framing = body_framing::none;
    std::uint64_t length = 0;  // With framing `length`.
    bool operator==(const http_body&) const = default;
};

struct http_limits {
    std::uint32_t head_bytes = 32 * 1024;  // Start line and fields, as received; trailers too.
    std::uint32_t fields = 100;
};

// What is wrong with a message: the status that its sender is answered with, when it is a request,
// and a sentence that says what and the remedy.
struct http_fault {
    std::uint16_t status = 0;
    std::string_view sentence;  // Of static storage.
};

// A part of a head's text.
struct text_range {
    std::uint32_t at = 0;
    std::uint32_t length = 0;
    std::string_view in(std::string_view text) const noexcept { return text.substr(at, length); }
    bool operator==(const text_range&) const = default;
};

// ── requests ──

struct request_head {
    // "GET /path?query\r\n" and the fields that go on. The target is in origin form ("*" for
    // OPTIONS). Host is among the fields, once; so are Expect, TE: trailers, and Upgrade when
    // `upgrade`. X-Forwarded-For, -Host, -Proto and Forwarded are not: see below.
    std::string text;
    text_range method;
    text_range target;
    text_range host;  // The value of Host.
    http_body body;
    bool http_1_0 = false;
    bool keep_alive = true;         // The sender wants the connection to stay.
    bool expects_continue = false;  // Expect: 100-continue, of HTTP/1.1 with a body.
    bool upgrade = false;           // Upgrade with Connection: upgrade, of HTTP/1.1 without body.
    bool accepts_trailers = false;  // TE: trailers.
    // As they came, several fields joined by ", "; only a trusted sender's mean anything.
    std::string forwarded_for;    // X-Forwarded-For
    std::string forwarded_proto;  // X-Forwarded-Proto
    std::string forwarded_host;   // X-Forwarded-Host
};

// GET, HEAD, OPTIONS, TRACE, PUT, DELETE (RFC 9110, section 9.2.2).
bool is_idempotent(std::string_view method) noexcept;

// The name of a Host value: lower case, without port and final dot, an IPv6 literal in its
// brackets.
std::string host_name(std::string_view host);

// ── responses ──

struct response_head {
    // "OK\r\n" (the reason phrase, perhaps empty) and the fields that go on. Upgrade is among them
    // when `switches`.
    std::string text;
    std::uint16_t status = 0;
    // What the head declares. `none` where a message of this status, or to this request, has no
    // body and declares no length; else a HEAD's answer and a 304 declare what a body would be.
    http_body declared;
    bool keep_alive = true;  // The connection may carry another message after this one.
    bool interim() const noexcept { return status < 200 && status != 101; }
    bool switches() const noexcept { return status == 101; }
};

// Whether a response has a body at all: not to HEAD, not 1xx, 204, 304.
bool may_have_body(std::uint16_t status, bool to_head) noexcept;

// ── reading ──

// Reads one message after another from a connection. Bytes go in by read(), which stops at the end
// of each head and of each message, so what belongs to the next is never consumed.
class http_reader {
  public:
    enum class kind : std::uint8_t { request, response };
    enum class event : std::uint8_t {
        more,      // All input is consumed, and the message goes on.
        head,      // The head is whole: request() or response().
        complete,  // The message is over; trailers() has its trailers. The next may begin.
        failed,    // fault() says why; nothing more is read.
    };

    http_reader(kind what, const http_limits& limits);
    ~http_reader();
    http_reader(const http_reader&) = delete;
    http_reader& operator=(const http_reader&) = delete;

    // Consumes from the front of `input`. Pieces of the decoded body are appended to `body`: views
    // into what `input` was. Bytes of a head that is not whole are kept here, at most
    // http_limits::head_bytes of them.
    event read(bytes_view& input, std::vector<bytes_view>& body);
    // The connection has ended: `complete` for a body that ends so; `more` between two messages;
    // else `failed`: the message was cut short.
    event end();

    // After `head`; valid until the next message begins, or forget(). May be moved from.
    request_head& request() noexcept;
    response_head& response() noexcept;
    // For responses, before the head: the request was HEAD, or asked for an upgrade. Without it a
    // 101 fails. Holds, past interim answers too, until the next call.
    void expect(bool to_head, bool upgrade_asked) noexcept;

    // After `complete`: "name: value\r\n" for each trailer field that may go on (RFC 9110, section
    // 6.5.1); mostly empty.
    const std::string& trailers() const noexcept;
    const http_fault& fault() const noexcept;

    // Nothing of a message has been read since the last was complete, but perhaps empty lines.
    bool idle() const noexcept;
    // Between messages: gives back the memory that only a message needs; the last one's head and
    // trailers are gone. So does a read() without input.
    void forget() noexcept;
    // The framing of the body being read, after `head`; none for messages without.
    body_framing framing() const noexcept;
    // Bytes that follow raw, with no framing among them: those left of `length`, any number of
    // `until_close` (UINT64_MAX), 0 otherwise. skip() accounts for those read by other means;
    // it answers `complete` when they were the last, else `more`.
    std::uint64_t raw_left() const noexcept;
    event skip(std::uint64_t count) noexcept;

  private:
    struct state;
    std::unique_ptr<state> state_;
};

// ── writing ──

// Whether `text` is what a peer may hand on as fields: whole lines "name: value\r\n" with a token
// for name and no control byte in a value, none of them a framing or hop-by-hop field (but Upgrade
// when `upgrade`). For heads and trailers that the other end of the tunnel has made.
bool are_fields(std::string_view text, bool upgrade) noexcept;

// Appends the field lines that frame a body, without the empty line: Content-Length,
// Transfer-Encoding: chunked, or nothing for none and until_close.
void append_framing(std::string& out, const http_body& body);

// "1a3f\r\n" into `out`, which has 18 bytes; its length. "\r\n" follows the chunk's bytes.
std::size_t chunk_header(char* out, std::uint64_t bytes) noexcept;
inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk = "0\r\n";  // Then trailers, then an empty line.

// The standard reason phrase; "Unknown" for a status without one.
std::string_view reason_phrase(std::uint16_t status) noexcept;

}  // namespace tunnel_uring
