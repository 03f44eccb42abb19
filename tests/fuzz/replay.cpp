// Gives a fuzzer each input of the corpora named, once: the committed corpus as a test.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz/fuzz.hpp"

namespace {

int replay(const std::filesystem::path& corpus) {
    int inputs = 0;
    for (const auto& entry : std::filesystem::directory_iterator{corpus}) {
        std::ifstream file{entry.path(), std::ios::binary};
        const std::vector<char> text{std::istreambuf_iterator<char>{file}, {}};
        LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
        inputs += 1;
    }
    std::printf("%s: %d inputs\n", corpus.c_str(), inputs);
    return inputs;
}

}  // namespace

int main(int count, char** arguments) try {
    int inputs = 0;
    for (int i = 1; i < count; ++i) inputs += replay(arguments[i]);
    return inputs > 0 ? 0 : 1;
} catch (const std::exception& wrong) {
    std::fprintf(stderr, "%s\n", wrong.what());
    return 1;
}
