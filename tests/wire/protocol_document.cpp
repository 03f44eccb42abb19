#include "wire/protocol_document.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>

namespace tunnel_uring {

namespace {

constexpr std::string_view path = TUNNEL_URING_SOURCE_ROOT "/docs/protocol.md";
constexpr std::string_view outcome = " = ";

std::string trimmed(std::string text) {
    std::erase(text, '`');
    text.erase(0, text.find_first_not_of(' '));
    text.erase(text.find_last_not_of(' ') + 1);
    return text;
}

}  // namespace

std::vector<std::byte> bytes_of_hex(std::string_view text) {
    std::string digits{text};
    std::erase(digits, ' ');
    std::vector<std::byte> bytes;
    for (std::size_t at = 0; at + 1 < digits.size(); at += 2) {
        unsigned value = 0;
        const char* const end = digits.data() + at + 2;
        const auto [stopped, wrong] = std::from_chars(digits.data() + at, end, value, 16);
        // What is no hexadecimal never equals what an encoder gives.
        if (stopped != end || wrong != std::errc{}) return {};
        bytes.push_back(static_cast<std::byte>(value));
    }
    return bytes;
}

std::string_view test_vector::kind() const noexcept {
    return std::string_view{text}.substr(0, text.find(' '));
}

std::vector<std::string> test_vector::words() const {
    std::vector<std::string> words{1};
    bool quoted = false;
    for (const char character : text.substr(kind().size())) {
        if (character == '"') quoted = !quoted;
        if (character == ' ' && !quoted) words.emplace_back();
        else words.back() += character;
    }
    std::erase(words, "");
    return words;
}

std::string test_vector::value(std::string_view name) const {
    const std::string start = std::string{name} + "=";
    for (std::string word : words()) {
        if (!word.starts_with(start)) continue;
        word.erase(0, start.size());
        std::erase(word, '"');
        return word;
    }
    return {};
}

std::vector<std::byte> test_vector::bytes() const { return bytes_of_hex(result); }

const protocol_document& protocol_document::get() {
    static const protocol_document read;
    return read;
}

protocol_document::protocol_document() {
    std::ifstream file{std::string{path}};
    bool in_vectors = false;
    bool in_table = false;
    std::size_t number = 0;
    for (std::string line; std::getline(file, line);) {
        number += 1;
        if (line.starts_with("```")) in_vectors = line == "```vectors";
        else if (in_vectors) add_vector_line(line, number);
        const bool is_row = !in_vectors && line.starts_with("|");
        if (is_row) add_table_row(line, in_table);
        in_table = is_row;
        if (!line.empty()) last_line_ = line;
    }
    for (test_vector& one : vectors_) {
        const std::size_t at = one.text.find(outcome);
        if (at == std::string::npos) continue;
        one.result = one.text.substr(at + outcome.size());
        one.text.erase(at);
    }
}

void protocol_document::add_table_row(const std::string& line, bool in_table) {
    if (line.starts_with("|---")) return;
    if (!in_table) {
        const bool is_bold = last_line_.starts_with("**") && last_line_.ends_with("**");
        std::string caption = is_bold ? trimmed(last_line_) : std::string{};
        std::erase(caption, '*');
        tables_.push_back({.caption = std::move(caption), .rows = {}});
    }
    std::vector<std::string> cells;
    std::size_t start = 1;
    for (std::size_t bar = line.find('|', 1); bar != std::string::npos;
         bar = line.find('|', start)) {
        cells.push_back(trimmed(line.substr(start, bar - start)));
        start = bar + 1;
    }
    tables_.back().rows.push_back(std::move(cells));
}

void protocol_document::add_vector_line(const std::string& line, std::size_t number) {
    if (line.empty() || line.front() == '#') return;
    if (line.front() == ' ' && !vectors_.empty())
        vectors_.back().text += line.substr(line.find_first_not_of(' ') - 1);
    else vectors_.push_back({.text = line, .result = {}, .line = number});
}

std::vector<std::vector<std::string>> protocol_document::rows(std::string_view first,
                                                              std::string_view second) const {
    for (const document_table& one : tables_) {
        const std::vector<std::string>& titles = one.rows.at(0);
        if (titles.size() > 1 && titles[0] == first && titles[1] == second) return one.rows;
    }
    return {};
}

std::vector<test_vector> protocol_document::vectors(std::string_view kind) const {
    std::vector<test_vector> found;
    std::copy_if(vectors_.begin(), vectors_.end(), std::back_inserter(found),
                 [kind](const test_vector& one) { return one.kind() == kind; });
    return found;
}

}  // namespace tunnel_uring
