#include "net/name_cache.hpp"

namespace tunnel_uring {

task<result<std::vector<socket_address>>> name_cache::resolve(host_port where, cancel_token stop) {
    const bool same = where == asked_;
    if (same && !answer_.empty() && io_.now() < until_) co_return answer_;
    result<std::vector<socket_address>> found = co_await source_.resolve(where, stop);
    if (found) {
        asked_ = where;
        answer_ = *found;
        until_ = io_.now() + lifetime;
    }
    co_return std::move(found);
}

}  // namespace tunnel_uring
