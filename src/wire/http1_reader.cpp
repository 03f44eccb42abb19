#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "base/check.hpp"
#include "wire/http1.hpp"
#include "wire/http1_chunks.hpp"
#include "wire/http1_faults.hpp"
#include "wire/http1_head.hpp"

namespace tunnel_uring {

namespace {

using http1::faults::head_too_large;
using http1::faults::target_too_long;

// Empty lines before a request (RFC 9112, section 2.2): what old browsers sent after a POST.
constexpr std::uint8_t most_empty_lines = 4;
// A bigger buffer is not kept for the next message.
constexpr std::size_t kept_capacity = 4096;

enum class phase : std::uint8_t { between, head, body, chunks, trailers, over, failed };

// Lines up to an empty one: in place when all come at once, else gathered in `kept`.
struct section {
    std::string kept;
    std::size_t line = 0;     // Where the line begins that is being read.
    std::size_t scanned = 0;  // No LF of that line before here.

    void begin() noexcept {
        kept.clear();
        if (kept.capacity() > kept_capacity) kept = {};
        line = scanned = 0;
    }
};

// What only a message needs.
struct message {
    http1::head_parser parser;
    http1::chunk_decoder chunks;
    section lines;
    request_head request;
    response_head response;
    std::string trailers;
    std::uint32_t trailer_fields = 0;

    void begin(http_reader::kind what, const http_limits& limits) {
        parser.begin(what, limits.fields);
        chunks = http1::chunk_decoder{limits.head_bytes};
        lines.begin();
        request = {};
        response = {};
        trailers.clear();
        trailer_fields = 0;
    }
};

// Messages of this thread that wait for their next reader, with the memory they have allocated.
class spare_messages {
  public:
    ~spare_messages() { gone = true; }
    static std::unique_ptr<message> take() {
        spare_messages* const mine = of_thread();
        if (mine == nullptr || mine->count_ == 0) return std::make_unique<message>();
        return std::move(mine->spare_[--mine->count_]);
    }
    static void give(std::unique_ptr<message> one) noexcept {
        spare_messages* const mine = of_thread();
        if (mine == nullptr || one == nullptr || mine->count_ == mine->spare_.size()) return;
        one->lines.begin();
        if (one->trailers.capacity() > kept_capacity) one->trailers = {};
        one->request = {};
        one->response = {};
        mine->spare_[mine->count_++] = std::move(one);
    }

  private:
    // Readers may be destroyed after what belongs to the thread.
    static spare_messages* of_thread() noexcept {
        thread_local spare_messages mine;
        return gone ? nullptr : &mine;
    }
    static inline thread_local bool gone = false;

    std::array<std::unique_ptr<message>, 16> spare_;
    std::size_t count_ = 0;
};

}  // namespace

struct http_reader::state {
    kind what;
    phase at = phase::between;
    std::uint8_t empty_lines = 0;
    bool empty_line_begun = false;
    http1::expectation asked;
    http_limits limits;
    std::uint64_t left = 0;  // In `body`; UINT64_MAX until the connection ends.
    std::unique_ptr<message> now;
    http_fault wrong;

    state(kind reads, const http_limits& to) noexcept : what{reads}, limits{to} {}

    event fail(const http_fault& why) noexcept {
        at = phase::failed;
        wrong = why;
        if (what == kind::response) wrong.status = 502;
        return event::failed;
    }
    void forget() noexcept { spare_messages::give(std::move(now)); }

    event begin(bytes_view& input);
    event read_head(bytes_view& input);
    event finish_head(std::string_view text);
    event read_body(bytes_view& input, std::vector<bytes_view>& body);
    event read_chunks(bytes_view& input, std::vector<bytes_view>& body);
    event read_trailers(bytes_view& input);
    const http_fault* take_trailer(std::string_view line, bool& last);
    template <class Take>
    event read_lines(bytes_view& input, std::string_view& text, const Take& take);
    event complete() noexcept {
        at = phase::between;
        empty_lines = 0;
        return event::complete;
    }
};

// Gives each whole line to `take`, which returns a fault, or null and says whether it was the last:
// then `complete`, and `text` is the section.
template <class Take>
http_reader::event http_reader::state::read_lines(bytes_view& input, std::string_view& text,
                                                  const Take& take) {
    section& lines = now->lines;
    const std::size_t before = lines.kept.size();
    const std::size_t taken = std::min(limits.head_bytes - before, input.size());
    text = as_text(input.first(taken));
    if (before > 0) text = lines.kept.append(text);
    for (;;) {
        const std::size_t lf = text.find('\n', lines.scanned);
        if (lf == std::string_view::npos) break;
        bool last = false;
        const std::string_view line = text.substr(lines.line, lf + 1 - lines.line);
        if (const http_fault* const wrong_line =
                take(line, static_cast<std::uint32_t>(lines.line), last))
            return fail(*wrong_line);
        lines.line = lines.scanned = lf + 1;
        if (!last) continue;
        text = text.substr(0, lf + 1);
        input = input.subspan(text.size() - before);
        return event::complete;
    }
    lines.scanned = text.size();
    if (text.size() == limits.head_bytes) {
        const bool in_first_line = at == phase::head && what == kind::request && lines.line == 0;
        return fail(in_first_line ? target_too_long : head_too_large);
    }
    if (before == 0) lines.kept.assign(text);
    input = input.subspan(taken);
    return event::more;
}

http_reader::event http_reader::state::begin(bytes_view& input) {
    // Empty lines need no memory, and are no message.
    while (what == kind::request && !input.empty()) {
        const char c = std::to_integer<char>(input.front());
        if (empty_line_begun && c != '\n') return fail(http1::faults::bare_cr);
        if (!empty_line_begun && c != '\r') break;
        if (!empty_line_begun && empty_lines == most_empty_lines)
            return fail(http1::faults::too_many_empty_lines);
        if (empty_line_begun) empty_lines += 1;
        empty_line_begun = !empty_line_begun;
        input = input.subspan(1);
    }
    if (input.empty()) {
        forget();
        return event::more;
    }
    const char first = std::to_integer<char>(input.front());
    const bool may_begin = what == kind::request ? http1::is_token_char(first) : first == 'H';
    if (first == '\n') return fail(http1::faults::bare_lf);
    if (!may_begin) return fail(http1::faults::not_http);
    if (now == nullptr) now = spare_messages::take();
    now->begin(what, limits);
    at = phase::head;
    return read_head(input);
}

http_reader::event http_reader::state::read_head(bytes_view& input) {
    std::string_view text;
    const event came =
        read_lines(input, text, [this](std::string_view line, std::uint32_t line_at, bool& last) {
            const http_fault* const wrong_line = now->parser.take(line, line_at);
            last = now->parser.over();
            return wrong_line;
        });
    return came == event::complete ? finish_head(text) : came;
}

http_reader::event http_reader::state::finish_head(std::string_view text) {
    message& m = *now;
    const http_fault* const wrong_head = what == kind::request
                                             ? m.parser.finish(text, m.request)
                                             : m.parser.finish(text, asked, m.response);
    if (wrong_head != nullptr) return fail(*wrong_head);
    m.lines.begin();
    http_body body = m.request.body;
    if (what == kind::response) {
        body = {};
        if (may_have_body(m.response.status, asked.to_head)) body = m.response.declared;
    }
    left = 0;
    at = phase::over;
    switch (body.framing) {
        case body_framing::none: break;
        case body_framing::chunked: at = phase::chunks; break;
        case body_framing::until_close:
            at = phase::body;
            left = std::numeric_limits<std::uint64_t>::max();
            break;
        case body_framing::length:
            left = body.length;
            if (left > 0) at = phase::body;
            break;
    }
    return event::head;
}

http_reader::event http_reader::state::read_body(bytes_view& input, std::vector<bytes_view>& body) {
    const std::size_t count = std::min<std::uint64_t>(left, input.size());
    if (count > 0) body.push_back(input.first(count));
    input = input.subspan(count);
    if (left == std::numeric_limits<std::uint64_t>::max()) return event::more;
    left -= count;
    return left == 0 ? complete() : event::more;
}

http_reader::event http_reader::state::read_chunks(bytes_view& input,
                                                   std::vector<bytes_view>& body) {
    if (const http_fault* const wrong_chunk = now->chunks.read(input, body))
        return fail(*wrong_chunk);
    if (!now->chunks.over()) return event::more;
    at = phase::trailers;
    return read_trailers(input);
}

http_reader::event http_reader::state::read_trailers(bytes_view& input) {
    std::string_view text;
    const event came =
        read_lines(input, text, [this](std::string_view line, std::uint32_t, bool& last) {
            return take_trailer(line, last);
        });
    return came == event::complete ? complete() : came;
}

const http_fault* http_reader::state::take_trailer(std::string_view line, bool& last) {
    if (const http_fault* const wrong_line = http1::check_bytes(line)) return wrong_line;
    const std::string_view content = line.substr(0, line.size() - 2);
    last = content.empty();
    if (last) return nullptr;
    if (content.front() == ' ' || content.front() == '\t') return &http1::faults::folded_line;
    if (now->trailer_fields == limits.fields) return &http1::faults::too_many_fields;
    now->trailer_fields += 1;
    const std::size_t colon = content.find(':');
    if (colon == std::string_view::npos) return &http1::faults::no_colon;
    const std::string_view name = content.substr(0, colon);
    if (!http1::is_token(name)) return &http1::faults::bad_field_name;
    if (!http1::may_be_trailer(name)) return nullptr;
    const std::string_view value = http1::trim(content.substr(colon + 1));
    now->trailers.append(name).append(": ").append(value).append("\r\n");
    return nullptr;
}

http_reader::http_reader(kind what, const http_limits& limits)
    : state_{std::make_unique<state>(what, limits)} {}

http_reader::~http_reader() { state_->forget(); }

http_reader::event http_reader::read(bytes_view& input, std::vector<bytes_view>& body) {
    state& s = *state_;
    switch (s.at) {
        case phase::between: return s.begin(input);
        case phase::head: return s.read_head(input);
        case phase::body: return s.read_body(input, body);
        case phase::chunks: return s.read_chunks(input, body);
        case phase::trailers: return s.read_trailers(input);
        case phase::over: return s.complete();
        case phase::failed: break;
    }
    return event::failed;
}

http_reader::event http_reader::end() {
    state& s = *state_;
    if (s.at == phase::over) return s.complete();
    if (s.at == phase::body && framing() == body_framing::until_close) return s.complete();
    if (s.at == phase::failed) return event::failed;
    return idle() ? event::more : s.fail(http1::faults::cut_short);
}

request_head& http_reader::request() noexcept {
    TU_ASSERT(state_->now != nullptr);
    return state_->now->request;
}

response_head& http_reader::response() noexcept {
    TU_ASSERT(state_->now != nullptr);
    return state_->now->response;
}

void http_reader::expect(bool to_head, bool upgrade_asked) noexcept {
    state_->asked = {to_head, upgrade_asked};
}

const std::string& http_reader::trailers() const noexcept {
    static const std::string none;
    return state_->now == nullptr ? none : state_->now->trailers;
}

const http_fault& http_reader::fault() const noexcept { return state_->wrong; }

bool http_reader::idle() const noexcept {
    return state_->at == phase::between && !state_->empty_line_begun;
}

void http_reader::forget() noexcept {
    if (state_->at == phase::between) state_->forget();
}

body_framing http_reader::framing() const noexcept {
    const state& s = *state_;
    if (s.at == phase::chunks || s.at == phase::trailers) return body_framing::chunked;
    if (s.at != phase::body) return body_framing::none;
    return s.left == std::numeric_limits<std::uint64_t>::max() ? body_framing::until_close
                                                               : body_framing::length;
}

std::uint64_t http_reader::raw_left() const noexcept {
    return state_->at == phase::body ? state_->left : 0;
}

http_reader::event http_reader::skip(std::uint64_t count) noexcept {
    state& s = *state_;
    TU_ASSERT(s.at == phase::body && count <= s.left);
    if (framing() == body_framing::until_close) return event::more;
    s.left -= count;
    return s.left == 0 ? s.complete() : event::more;
}

}  // namespace tunnel_uring
