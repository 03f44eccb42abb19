#include "app/toml_reader.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "base/log.hpp"

namespace tunnel_uring {

namespace {

using kind = raw_value::kind;

file_position place(const toml::source_region& region) noexcept {
    return {static_cast<std::uint32_t>(region.begin.line),
            static_cast<std::uint32_t>(region.begin.column)};
}

raw_value convert(const toml::node& node) {
    raw_value value;
    value.at = place(node.source());
    value.what = kind::other;
    if (const auto* const text = node.as_string()) {
        value.what = kind::text;
        value.text = text->get();
    } else if (const auto* const integer = node.as_integer()) {
        value.what = kind::integer;
        value.text = fmt::format("{}", integer->get());
    } else if (const auto* const real = node.as_floating_point()) {
        value.what = kind::real;
        value.text = fmt::format("{}", real->get());
    } else if (const auto* const truth = node.as_boolean()) {
        value.what = kind::boolean;
        value.text = truth->get() ? "true" : "false";
    } else if (const auto* const array = node.as_array()) {
        value.what = kind::list;
        for (const toml::node& item : *array) value.items.push_back(convert(item));
    } else if (const auto* const table = node.as_table()) {
        value.what = kind::table;
        for (const auto& [key, child] : *table)
            value.entries.push_back({std::string{key.str()}, place(key.source()), convert(child)});
        // The library sorts by name; people read from top to bottom.
        const auto above = [](const raw_value::entry& left, const raw_value::entry& right) {
            return std::pair{left.at.line, left.at.column} <
                   std::pair{right.at.line, right.at.column};
        };
        std::sort(value.entries.begin(), value.entries.end(), above);
    } else {
        std::ostringstream written;
        node.visit([&written](const auto& any) { written << any; });
        value.text = written.str();
    }
    return value;
}

}  // namespace

result<raw_value> read_toml(std::string_view text, std::string_view file) {
    try {
        return convert(toml::parse(text));
    } catch (const toml::parse_error& failure) {
        const file_position at = place(failure.source());
        return error{EINVAL, fmt::format("{}:{}:{}: this is not TOML: {}", file, at.line, at.column,
                                         printable(failure.description()))};
    }
}

}  // namespace tunnel_uring
