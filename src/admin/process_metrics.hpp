// What is told of the process and of its run loop, whatever its role.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "admin/exposition.hpp"
#include "admin/json_text.hpp"
#include "ring/io_context.hpp"
#include "tunnel/byte_path.hpp"

namespace tunnel_uring {

// At one moment.
struct process_facts {
    double cpu_user = 0;  // Seconds.
    double cpu_system = 0;
    std::uint64_t resident_bytes = 0;
    std::optional<std::uint64_t> open_files;  // From Linux 6.2 on.
    std::uint64_t files_limit = 0;
    double started_at = 0;  // Seconds since 1970.
    duration uptime{0};
    io_counters loop;
    io_census census;
};

// `began`: when the role did.
process_facts look_at_process(const io_context& io, time_point began);

void expose_process(exposition& out, const process_facts& facts, std::string_view role);
void expose_bytes(exposition& out, const byte_counters& counters);
// Name, version, uptime, CPU and memory, as members of the open object.
void tell_process(json_text& out, const process_facts& facts, std::string_view role);
void tell_bytes(json_text& out, const byte_counters& counters);

}  // namespace tunnel_uring
