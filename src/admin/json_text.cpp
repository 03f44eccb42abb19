#include "admin/json_text.hpp"

#include <fmt/format.h>

#include "base/log.hpp"

namespace tunnel_uring {

void json_text::begin(std::string_view name) {
    if (!first_) text_ += ',';
    first_ = false;
    if (!name.empty()) text_ += json_string(name) + ':';
}

void json_text::open(std::string_view name, char bracket) {
    begin(name);
    text_ += bracket;
    first_ = true;
}

void json_text::close(char bracket) {
    text_ += bracket;
    first_ = false;
}

void json_text::text(std::string_view name, std::string_view value) {
    begin(name);
    text_ += json_string(value);
}

void json_text::number(std::string_view name, double value) {
    begin(name);
    text_ += fmt::format("{}", value);
}

void json_text::truth(std::string_view name, bool value) {
    begin(name);
    text_ += value ? "true" : "false";
}

void json_text::null(std::string_view name) {
    begin(name);
    text_ += "null";
}

}  // namespace tunnel_uring
