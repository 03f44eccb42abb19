// The corpora http1_requests.txt and http1_responses.txt: what a message is taken for, and that it
// does not depend on how it is cut into pieces.
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "wire/http1_play.hpp"

namespace tunnel_uring {
namespace {

struct corpus_case {
    std::string name;
    std::string verdict;
    std::string bytes;
};

std::string unescape(const std::string& text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\') {
            out += text[i];
            continue;
        }
        switch (text[++i]) {
            case 'r': out += '\r'; break;
            case 'n': out += '\n'; break;
            case 't': out += '\t'; break;
            case 'x':
                out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
                i += 2;
                break;
            default: out += text[i];
        }
    }
    return out;
}

std::vector<corpus_case> read_corpus(const std::string& name) {
    std::vector<corpus_case> cases;
    std::ifstream file{TUNNEL_URING_SOURCE_ROOT "/tests/wire/" + name};
    for (std::string line; std::getline(file, line);) {
        if (line.empty() || line.front() == '#') continue;
        const std::size_t first = line.find(" |");
        const std::size_t second = line.find(" | ", first + 1);
        std::string verdict = second > first + 3 ? line.substr(first + 3, second - first - 3) : "";
        cases.push_back(
            {line.substr(0, first), std::move(verdict), unescape(line.substr(second + 3))});
    }
    return cases;
}

class http1_corpus : public testing::TestWithParam<std::pair<http_player::kind, const char*>> {
  protected:
    const http_player::kind what_ = GetParam().first;
    const std::vector<corpus_case> cases_ = read_corpus(GetParam().second);
};

TEST_P(http1_corpus, is_judged_as_it_says) {
    EXPECT_GE(cases_.size(), 50U);
    for (const corpus_case& one : cases_) {
        http_player player{what_};
        player.play(one.bytes, one.bytes.size());
        EXPECT_EQ(player.verdict(), one.verdict)
            << one.name << ": " << player.reader().fault().sentence;
        EXPECT_EQ(player.failed, !player.reader().fault().sentence.empty()) << one.name;
    }
}

TEST_P(http1_corpus, is_judged_the_same_however_it_is_cut) {
    for (const corpus_case& one : cases_) {
        http_player whole{what_};
        whole.play(one.bytes, one.bytes.size());
        whole.end();
        for (const std::size_t step : {1U, 2U, 3U, 7U}) {
            http_player pieces{what_};
            pieces.play(one.bytes, step);
            pieces.end();
            EXPECT_TRUE(pieces.same_as(whole)) << one.name << " in pieces of " << step;
        }
        for (std::size_t cut = 1; cut < one.bytes.size(); ++cut) {
            http_player halves{what_};
            halves.feed(as_bytes(one.bytes).first(cut));
            halves.feed(as_bytes(one.bytes).subspan(cut));
            halves.end();
            EXPECT_TRUE(halves.same_as(whole)) << one.name << " cut at " << cut;
        }
    }
}

TEST_P(http1_corpus, is_no_clean_end_where_a_message_is_cut_short) {
    for (const corpus_case& one : cases_) {
        for (std::size_t cut = 1; cut < one.bytes.size(); ++cut) {
            http_player player{what_};
            player.feed(as_bytes(one.bytes).first(cut));
            const bool between = player.reader().idle();
            const bool open = player.reader().framing() == body_framing::until_close;
            player.end();
            EXPECT_EQ(player.ended == http_player::event::failed, !between && !open)
                << one.name << " ended at " << cut;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    , http1_corpus,
    testing::Values(std::pair{http_player::kind::request, "http1_requests.txt"},
                    std::pair{http_player::kind::response, "http1_responses.txt"}),
    [](const auto& of) { return of.index == 0 ? "of_requests" : "of_responses"; });

}  // namespace
}  // namespace tunnel_uring
