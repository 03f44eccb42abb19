// What the admin listener shows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tunnel_uring {

struct admin_page {
    std::uint16_t status = 200;
    std::string_view type = "text/plain; charset=utf-8";  // Of static storage.
    std::string body;
};

class admin_pages {
  public:
    virtual ~admin_pages() = default;
    // Nothing where there is no such page. Called from the run loop; must not block.
    virtual std::optional<admin_page> get(std::string_view path) = 0;
    virtual std::vector<std::string_view> paths() const = 0;
};

}  // namespace tunnel_uring
