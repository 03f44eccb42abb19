// admin_connection: one connection of the admin listener, from its accept to its close.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "admin/admin_pages.hpp"
#include "net/stream.hpp"
#include "wire/http1.hpp"

namespace tunnel_uring {

class admin_server;

class admin_connection {
  public:
    admin_connection(admin_server& server, stream connection);

    // Until either side has had enough, or `stop`.
    task<> run(cancel_token stop);

  private:
    task<bool> read_head(cancel_token stop);
    task<bool> receive(cancel_token stop);
    task<> say(admin_page what, bool to_head, cancel_token stop);
    task<> linger(cancel_token stop);
    admin_page answer(std::string_view method, std::string_view target, std::string_view host);
    void end_request();

    admin_server& server_;
    stream connection_;
    http_reader reader_;
    std::vector<bytes_view> pieces_;
    std::array<std::byte, 4096> memory_;
    bytes_view unread_;
    time_point head_began_;
    bool head_begun_ = false;
    bool stays_ = true;
};

}  // namespace tunnel_uring
