// The load of the benchmark: an upstream, and clients that measure. One thread each.
//
//   load server [--port 0]                               prints `listening <port>`
//   load ask    --port p [--kind echo|http] [--size 64] [--streams 1] [--idle 0] [--connect]
//               [--rate 0] [--duration-us 1000000] [--count 0]
//   load bulk   --port p [--streams 8] [--up] [--duration-us 1000000]
//   load idle   --port p [--kind echo|http] [--idle 1000]
//
// What each means is in modes.hpp. Results are one JSON object on stdout.

#include <sys/prctl.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <stdexcept>
#include <string>

#include "modes.hpp"
#include "talk.hpp"

namespace {

using load::options;

void set(options& chosen, const std::string& name, const std::string& value) {
    const std::size_t number = std::strtoull(value.c_str(), nullptr, 10);
    if (name == "--port") chosen.port = static_cast<std::uint16_t>(number);
    else if (name == "--kind") chosen.what = value == "http" ? load::kind::http : load::kind::echo;
    else if (name == "--size")
        chosen.size = std::clamp<std::size_t>(number, 1, load::most_message_bytes);
    else if (name == "--streams") chosen.streams = std::clamp<std::size_t>(number, 1, 10'000);
    else if (name == "--idle") chosen.idle = std::min<std::size_t>(number, 20'000);
    else if (name == "--duration-us")
        chosen.duration = std::chrono::microseconds(std::min<std::size_t>(number, 60'000'000));
    else if (name == "--count") chosen.count = number;
    else if (name == "--rate") chosen.rate = std::strtod(value.c_str(), nullptr);
    else throw std::runtime_error("unknown option " + name);
}

options parse(int count, char** words) {
    options chosen;
    for (int i = 2; i < count; ++i) {
        const std::string name = words[i];
        if (name == "--up") chosen.up = true;
        else if (name == "--connect") chosen.connect = true;
        else if (++i == count) throw std::runtime_error(name + " needs a value");
        else set(chosen, name, words[i]);
    }
    return chosen;
}

void raise_descriptor_limit() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

int main(int count, char** words) {
    const std::map<std::string, void (*)(const options&)> modes{
        {"server", [](const options& chosen) { load::serve(chosen.port); }},
        {"ask", load::ask},
        {"bulk", load::bulk},
        {"idle", load::stand_idle}};
    try {
        const auto mode = modes.find(count > 1 ? words[1] : "");
        if (mode == modes.end()) throw std::runtime_error("server, ask, bulk or idle?");
        raise_descriptor_limit();
        ::prctl(PR_SET_TIMERSLACK, 1UL);  // Of paced questions: wake up on time.
        mode->second(parse(count, words));
        return 0;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "load: %s\n", error.what());
        return 1;
    }
}
