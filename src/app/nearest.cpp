#include "app/nearest.hpp"

#include <algorithm>
#include <vector>

namespace tunnel_uring {

std::size_t edit_distance(std::string_view left, std::string_view right) {
    // Three rows of the table: the one before last is for swaps.
    std::vector<std::size_t> before(right.size() + 1);
    std::vector<std::size_t> last(right.size() + 1);
    std::vector<std::size_t> row(right.size() + 1);
    for (std::size_t j = 0; j <= right.size(); ++j) last[j] = j;
    for (std::size_t i = 1; i <= left.size(); ++i) {
        row[0] = i;
        for (std::size_t j = 1; j <= right.size(); ++j) {
            const std::size_t replaced = left[i - 1] == right[j - 1] ? 0 : 1;
            row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + replaced});
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1])
                row[j] = std::min(row[j], before[j - 2] + 1);
        }
        std::swap(before, last);
        std::swap(last, row);
    }
    return last[right.size()];
}

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
    // Nobody gets more than every third letter wrong.
    constexpr std::size_t longest = 64;
    if (text.size() > longest) return {};
    std::size_t best = std::max<std::size_t>(text.size() / 3, 1) + 1;
    std::string_view found;
    for (const std::string_view one : candidates) {
        if (const std::size_t distance = edit_distance(text, one); distance < best) {
            best = distance;
            found = one;
        }
    }
    return found;
}

}  // namespace tunnel_uring
