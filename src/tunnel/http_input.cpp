#include "tunnel/http_input.hpp"

#include "base/check.hpp"

namespace tunnel_uring {

void http_input::consume(std::size_t count) noexcept {
    unread_ = unread_.subspan(count);
    if (!unread_.empty()) return;
    held_.reset();
    kept_ = {};
}

task<result<bool>> http_input::receive(std::size_t most, cancel_token stop) {
    result<buffer> got = co_await from_.receive(group_, most, stop);
    co_return take(std::move(got));
}

result<bool> http_input::take(result<buffer> got) {
    TU_ASSERT(empty());
    if (!got) return got.error();
    if (got->empty()) {
        // A socket tells of its reset once: when a write was told, the read sees an end.
        if (from_.was_broken()) return error{ECONNRESET};
        return false;
    }
    held_ = std::move(*got);
    unread_ = held_.bytes();
    return true;
}

void http_input::put(bytes_view bytes) {
    if (bytes.empty()) return;
    std::string all{as_text(unread_)};
    all += as_text(bytes);
    held_.reset();
    kept_ = std::move(all);
    unread_ = as_bytes(kept_);
}

void http_input::keep() {
    if (held_.empty()) return;
    kept_ = as_text(unread_);
    unread_ = as_bytes(kept_);
    held_.reset();
}

}  // namespace tunnel_uring
