#include "tunnel/http_names.hpp"

#include <algorithm>

namespace tunnel_uring {

namespace {

constexpr duration remembered = 10min;
constexpr std::size_t remembered_names = 10'000;

bool is_label_char(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

}  // namespace

void http_names::add(std::string_view name, http_service& service) {
    services_.emplace(name, &service);
    departed_.erase(std::string{name});
}

void http_names::remove(std::string_view name, const http_service& service, time_point now) {
    const auto found = services_.find(std::string{name});
    if (found == services_.end() || found->second != &service) return;
    services_.erase(found);
    if (departed_.size() >= remembered_names)
        std::erase_if(departed_, [now](const auto& one) { return one.second <= now; });
    if (departed_.size() < remembered_names) departed_[std::string{name}] = now + remembered;
}

http_service* http_names::holder(std::string_view name) const {
    const auto found = services_.find(std::string{name});
    return found == services_.end() ? nullptr : found->second;
}

// Asks `look` for the name, then for each zone around it, until it says true.
template <class Look>
bool http_names::look_up(std::string_view host, Look look) {
    if (look(std::string{host})) return true;
    for (std::size_t dot = host.find('.'); dot != std::string_view::npos;
         dot = host.find('.', dot + 1)) {
        if (look("*" + std::string{host.substr(dot)})) return true;
    }
    return false;
}

http_service* http_names::find(std::string_view host) const {
    http_service* found = nullptr;
    look_up(host, [&](const std::string& name) {
        const auto one = services_.find(name);
        if (one != services_.end()) found = one->second;
        return found != nullptr;
    });
    return found;
}

bool http_names::was_here(std::string_view host, time_point now) const {
    return look_up(host, [&](const std::string& name) {
        const auto one = departed_.find(name);
        return one != departed_.end() && one->second > now;
    });
}

bool is_service_name(std::string_view name) noexcept {
    if (name.starts_with("*.")) name.remove_prefix(2);
    if (name.empty() || name.size() > 253) return false;
    while (true) {
        const std::size_t dot = std::min(name.find('.'), name.size());
        const std::string_view label = name.substr(0, dot);
        if (label.empty() || label.size() > 63 ||
            !std::all_of(label.begin(), label.end(), is_label_char))
            return false;
        if (dot == name.size()) return true;
        name.remove_prefix(dot + 1);
    }
}

bool covers_label(std::string_view pattern, std::string_view label) noexcept {
    if (pattern.empty()) return label.empty();
    if (pattern.front() != '*')
        return !label.empty() && label.front() == pattern.front() &&
               covers_label(pattern.substr(1), label.substr(1));
    for (std::size_t taken = 0;; ++taken) {
        if (covers_label(pattern.substr(1), label.substr(taken))) return true;
        if (taken == label.size() || !is_label_char(label[taken])) return false;
    }
}

bool covers_name(std::string_view pattern, std::string_view name) noexcept {
    if (pattern == "*" || pattern == name) return true;
    return pattern.starts_with("*.") && name.ends_with(pattern.substr(1)) &&
           name.size() > pattern.size() - 1;
}

}  // namespace tunnel_uring
