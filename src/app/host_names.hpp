// Names, networks and URLs that keys take. Each check puts `text` into its one form (lower case, no
// final dot), or answers with what is wrong with it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tunnel_uring {

using text_problem = std::optional<std::string>;

// "tunnel.example.com": RFC 1035 lengths; letters, digits, "-" and, as found in practice, "_". Not
// a number of an address: there are no names below one.
text_problem check_domain(std::string& text);
// "app" or "a.b", what stands before a domain.
text_problem check_subdomain(std::string& text);
// The same with "*" among the characters.
text_problem check_subdomain_pattern(std::string& text);
// "app.example.com", or "*.example.com" for that zone.
text_problem check_hostname(std::string& text);
// That, or "*" for any.
text_problem check_hostname_pattern(std::string& text);
// "10.0.0.0/8", "::1": an address or a network of either family, without bits beyond its prefix.
text_problem check_network(std::string& text);
// "https://tunnel.example.com:8443": http or https, a host, perhaps a port, nothing behind it.
text_problem check_public_url(std::string& text);
// "/health": an absolute path without query.
text_problem check_url_path(std::string& text);
// "preserve", "upstream", or a host with or without a port.
text_problem check_host_header(std::string& text);

// The host in a URL that check_public_url() took.
std::string_view host_of_url(std::string_view url) noexcept;

}  // namespace tunnel_uring
