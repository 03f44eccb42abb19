// docs/protocol.md as data: its tables and its test vectors.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tunnel_uring {

struct test_vector {
    std::string text;    // All left of the equals sign, blanks single.
    std::string result;  // All right of it.
    std::size_t line = 0;

    // The first word of the text.
    std::string_view kind() const noexcept;
    // The words of the text after the kind; blanks within quotes end none.
    std::vector<std::string> words() const;
    // The value of the word `name=value`, without quotes; empty when there is none.
    std::string value(std::string_view name) const;
    // The result is bytes.
    std::vector<std::byte> bytes() const;
};

std::vector<std::byte> bytes_of_hex(std::string_view text);

// Rows of cells, backquotes and the blanks around taken away; the first row holds the titles.
struct document_table {
    std::string caption;  // The last line before it, if it is **bold**: what is between the stars.
    std::vector<std::vector<std::string>> rows;
};

class protocol_document {
  public:
    // Read once; the build says where the sources are.
    static const protocol_document& get();

    // The rows of the one whose titles begin like this; empty when there is none.
    std::vector<std::vector<std::string>> rows(std::string_view first,
                                               std::string_view second) const;
    const std::vector<document_table>& tables() const noexcept { return tables_; }
    std::vector<test_vector> vectors(std::string_view kind) const;
    const std::vector<test_vector>& vectors() const noexcept { return vectors_; }

  private:
    protocol_document();
    void add_table_row(const std::string& line, bool in_table);
    void add_vector_line(const std::string& line, std::size_t number);

    std::string last_line_;  // That was not blank.
    std::vector<document_table> tables_;
    std::vector<test_vector> vectors_;
};

}  // namespace tunnel_uring
