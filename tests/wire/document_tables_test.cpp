// The tables of docs/protocol.md that list names and numbers, held against the code.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <tunnel_uring/config.hpp>

#include <charconv>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tunnel/byte_path.hpp"
#include "tunnel/exchange.hpp"
#include "tunnel/frame_batch.hpp"
#include "wire/names.hpp"
#include "wire/protocol_document.hpp"
#include "wire/value_text.hpp"

namespace tunnel_uring {
namespace {

using pairs = std::map<std::string, std::string>;

// Two columns of a table, of all rows but the titles; no key stands twice.
pairs columns(std::string_view first, std::string_view second, std::size_t key, std::size_t value) {
    pairs found;
    const auto table = protocol_document::get().rows(first, second);
    EXPECT_GT(table.size(), 1U) << first << ", " << second;
    for (std::size_t row = 1; row < table.size(); ++row) {
        const bool is_new = found.emplace(table[row].at(key), table[row].at(value)).second;
        EXPECT_TRUE(is_new) << table[row].at(key);
    }
    return found;
}

template <class Enum>
pairs names_by_number() {
    pairs names;
    for (const Enum value : all_values<Enum>())
        names.emplace(std::to_string(static_cast<unsigned>(value)), name_of(value));
    return names;
}

TEST(protocol_document, lists_every_kind_of_connection) {
    EXPECT_EQ(columns("kind", "value", 1, 0), names_by_number<connection_kind>());
}

TEST(protocol_document, lists_every_frame_type) {
    EXPECT_EQ(columns("type", "frame", 0, 1), names_by_number<frame_type>());
}

TEST(protocol_document, lists_every_kind_of_exchange) {
    EXPECT_EQ(columns("kind", "exchange", 0, 1), names_by_number<exchange_kind>());
}

TEST(protocol_document, lists_every_framing_of_a_body) {
    EXPECT_EQ(columns("framing", "body", 0, 1), names_by_number<body_framing>());
}

TEST(protocol_document, lists_every_feature) {
    const pairs features{{std::to_string(feature_http), "http"}};
    EXPECT_EQ(columns("bit", "feature", 0, 1), features);
}

TEST(protocol_document, lists_every_reset_reason) {
    EXPECT_EQ(columns("reason", "name", 0, 1), names_by_number<reset_reason>());
}

TEST(protocol_document, lists_every_refusal) {
    EXPECT_EQ(columns("code", "name", 0, 1), names_by_number<refusal>());
}

TEST(protocol_document, lists_every_control_message) {
    pairs names;
    for (const control_message& one : all_control_messages())
        names.emplace(std::to_string(one.index() + 1), name_of(one));
    EXPECT_EQ(columns("type", "message", 0, 1), names);
}

TEST(protocol_document, has_the_words_of_the_log_for_every_reset_reason) {
    pairs words;
    for (const reset_reason value : all_values<reset_reason>())
        words.emplace(name_of(value), describe(value));
    EXPECT_EQ(columns("reason", "name", 1, 2), words);
}

TEST(protocol_document, has_the_words_of_the_log_for_every_protocol_error) {
    pairs words;
    for (const protocol_error value : all_values<protocol_error>())
        words.emplace(name_of(value), describe(value));
    EXPECT_EQ(columns("name", "found by", 0, 2), words);
}

// ── sizes ──

using table_rows = std::vector<std::vector<std::string>>;

bool is_byte_table(const document_table& table) {
    return table.rows.at(0) == std::vector<std::string>{"offset", "size", "field"};
}

// Bytes of a field; of texts, which have no fixed length, those of their own length or number.
std::size_t size_of(const std::string& cell) {
    static const std::map<std::string, std::size_t> names{{"u8", 1},  {"u16", 2},  {"u32", 4},
                                                          {"u64", 8}, {"text", 2}, {"texts", 1}};
    const auto found = names.find(cell);
    if (found != names.end()) return found->second;
    std::size_t size = 0;
    std::from_chars(cell.data(), cell.data() + cell.size(), size);
    EXPECT_EQ(std::to_string(size), cell);
    return size;
}

std::size_t size_of(const table_rows& rows) {
    std::size_t sum = 0;
    for (std::size_t row = 1; row < rows.size(); ++row) sum += size_of(rows[row].at(1));
    return sum;
}

TEST(protocol_document, leaves_no_gap_in_a_table_of_bytes) {
    for (const document_table& table : protocol_document::get().tables()) {
        if (!is_byte_table(table)) continue;
        std::size_t at = 0;
        for (std::size_t row = 1; row < table.rows.size(); ++row) {
            EXPECT_EQ(table.rows[row].at(0), std::to_string(at)) << table.rows[row].at(2);
            at += size_of(table.rows[row].at(1));
        }
    }
}

// Messages with empty texts, and frames; those without fields have no table.
TEST(protocol_document, has_a_table_of_all_bytes_for_every_message_and_frame) {
    std::map<std::string, std::size_t> sizes;
    for (const control_message& one : all_control_messages())
        sizes.emplace(name_of(one), encode(one).size() - control_header_bytes);
    for (const frame_type type : all_values<frame_type>()) {
        frame_event event;
        event.type = type;
        sizes.emplace(name_of(type), encode(event).size() - frame_header_bytes);
    }
    frame_event http;
    http.type = frame_type::open;
    http.open.kind = exchange_kind::http;
    sizes.emplace("open of http", encode(http).size() - frame_header_bytes);
    sizes.emplace("head of an answer", response_info_bytes);
    std::erase_if(sizes, [](const auto& one) { return one.second == 0; });
    std::map<std::string, std::size_t> told;
    for (const document_table& table : protocol_document::get().tables())
        if (is_byte_table(table) && !table.caption.empty())
            told.emplace(table.caption, size_of(table.rows));
    EXPECT_EQ(told, sizes);
}

TEST(protocol_document, has_tables_of_all_bytes_that_every_connection_begins_with) {
    std::vector<std::size_t> told;
    for (const document_table& table : protocol_document::get().tables())
        if (is_byte_table(table) && table.caption.empty()) told.push_back(size_of(table.rows));
    constexpr std::size_t address_bytes = 20;
    const std::vector<std::size_t> sizes{preamble_bytes, control_header_bytes, lane_hello_bytes,
                                         frame_header_bytes, address_bytes};
    EXPECT_EQ(told, sizes);
}

// The payload of a frame as its type's row tells it, where it is fixed.
TEST(protocol_document, tells_the_size_of_every_payload) {
    for (const auto& [name, payload] : columns("type", "frame", 1, 2)) {
        if (name == "data" || name == "head" || name == "trailers") continue;
        std::set<std::string> sizes;
        for (const test_vector& one : protocol_document::get().vectors("frame")) {
            if (one.words().front() != name) continue;
            const std::size_t text = bytes_of_hex(one.value("text")).size();
            const std::size_t fixed = one.bytes().size() - frame_header_bytes - text;
            sizes.insert(std::to_string(fixed) + (text > 0 ? " and text" : ""));
        }
        EXPECT_EQ(fmt::format("{}", fmt::join(sizes, ", or ")), payload) << name;
    }
}

// ── limits ──

TEST(protocol_document, tells_the_limits_that_both_ends_must_agree_on) {
    const pairs limits{
        {"protocol_version", std::to_string(protocol_version)},
        {"preamble_bytes", std::to_string(preamble_bytes)},
        {"lane_hello_bytes", std::to_string(lane_hello_bytes)},
        {"control_header_bytes", std::to_string(control_header_bytes)},
        {"control_bytes_limit", std::to_string(control_bytes_limit)},
        {"session_bytes_limit", std::to_string(session_bytes_limit)},
        {"control_text_limit", std::to_string(control_text_limit)},
        {"frame_header_bytes", std::to_string(frame_header_bytes)},
        {"max_payload", std::to_string(max_payload)},
        {"control_frame_limit", std::to_string(control_frame_limit)},
        {"max_open_text", std::to_string(max_open_text)},
        {"response_info_bytes", std::to_string(response_info_bytes)},
        {"head_bytes_limit", std::to_string(head_bytes_limit)},
        {"most_heads", std::to_string(most_heads)},
        {"first_window", std::to_string(first_window)},
        {"last_exchange_id", std::to_string(last_exchange_id)},
    };
    EXPECT_EQ(columns("limit", "value", 0, 1), limits);
}

TEST(protocol_document, tells_what_this_program_chooses) {
    const agent_config agent;
    const relay_config relay;
    const auto seconds = [](std::chrono::nanoseconds span) {
        return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(span).count());
    };
    const pairs choices{
        {"full_window", std::to_string(full_window)},
        {"memory_budget", std::to_string(byte_path_limits{}.memory_budget)},
        {"batch_bytes_limit", std::to_string(frame_batch::bytes_limit)},
        {"shared_lanes", std::to_string(agent.lanes.shared)},
        {"bulk_lanes_each_way", std::to_string(agent.lanes.bulk_max)},
        {"heartbeat_seconds", seconds(agent.lanes.heartbeat)},
        {"heartbeat_loss_seconds", seconds(agent.lanes.heartbeat_loss)},
        {"agent_max_exchanges", std::to_string(agent.max_exchanges)},
        {"relay_max_exchanges", std::to_string(relay.max_exchanges)},
        {"relay_max_agents", std::to_string(relay.max_agents)},
    };
    EXPECT_EQ(columns("choice", "value", 0, 1), choices);
    EXPECT_EQ(agent.lanes.heartbeat, relay.heartbeat);
    EXPECT_EQ(agent.lanes.heartbeat_loss, relay.heartbeat_loss);
}

}  // namespace
}  // namespace tunnel_uring
