// Values on their way into and out of a key's field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/keys.hpp"

namespace tunnel_uring {

struct file_position {
    std::uint32_t line = 0;  // From 1; 0: nowhere.
    std::uint32_t column = 0;
    bool operator==(const file_position&) const = default;
};

// What somebody wrote. A file says what type it meant; a flag or a variable has only text, which
// is read as the key wants it.
struct raw_value {
    enum class kind { word, text, integer, real, boolean, list, table, other };

    kind what = kind::word;
    std::string text;  // As a person would write it.
    std::vector<raw_value> items;
    struct entry;
    std::vector<entry> entries;
    file_position at;
};
struct raw_value::entry {
    std::string key;
    file_position at;
    raw_value value;
};

// Puts `value` into the key's field, in the form that the config structs want. Else says what is
// wrong with it and what is right; the field is then unchanged.
std::optional<std::string> assign(const config_key& key, key_scope& scope, const raw_value& value);

// The field as a TOML value that assign() takes back; "" when it is empty text.
std::string print(const config_key& key, key_scope& scope);
// True when the field is empty text or an empty list.
bool is_empty(const config_key& key, key_scope& scope);

// "15000-15999" or "15432". Nothing when it is neither, or not in order.
std::optional<port_range> parse_port_range(std::string_view text);
std::string format_port_range(const port_range& range);

// What a key takes, for people: "a duration from 1ms to 10m".
std::string describe_type(const config_key& key);

}  // namespace tunnel_uring
