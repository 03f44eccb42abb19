// What a frame costs to write and to read, apart from its bytes.
#include <benchmark/benchmark.h>

#include <vector>

#include "wire/frame.hpp"

namespace tunnel_uring {
namespace {

constexpr std::uint32_t exchange = 7;
constexpr std::size_t frames_count = 64;  // As many as one receive may hold.

void write_a_data_header(benchmark::State& state) {
    control_frame out;
    for (auto _ : state) {
        benchmark::DoNotOptimize(encode_data(out, exchange, 64));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(write_a_data_header);

void write_an_open(benchmark::State& state) {
    control_frame out;
    open_frame what;
    what.service = 1;
    what.credit = first_window;
    for (auto _ : state) {
        benchmark::DoNotOptimize(encode_open(out, exchange, what));
        benchmark::ClobberMemory();
    }
}
BENCHMARK(write_an_open);

std::vector<std::byte> data_frames(std::size_t payload) {
    std::vector<std::byte> all;
    for (std::size_t i = 0; i < frames_count; ++i) {
        control_frame header;
        const std::size_t length = encode_data(header, exchange, payload);
        all.insert(all.end(), header.begin(), header.begin() + static_cast<std::ptrdiff_t>(length));
        all.resize(all.size() + payload);
    }
    return all;
}

// Frames of so many bytes that came with one receive; counted in frames.
void read_data_frames(benchmark::State& state) {
    const std::vector<std::byte> received = data_frames(static_cast<std::size_t>(state.range(0)));
    frame_decoder decoder;
    for (auto _ : state) {
        bytes_view input{received};
        std::size_t seen = 0;
        while (const auto event = decoder.next(input)) seen += event->payload.size();
        benchmark::DoNotOptimize(seen);
        if (!input.empty()) state.SkipWithError("not read to the end");
    }
    state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(frames_count));
}
BENCHMARK(read_data_frames)->Arg(64)->Arg(1024)->Arg(16 * 1024);

}  // namespace
}  // namespace tunnel_uring
