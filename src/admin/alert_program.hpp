// The program that an alert runs.
#pragma once

#include <string>
#include <vector>

#include "ring/io_context.hpp"

namespace tunnel_uring {

// Runs `words` (a program, looked for in PATH, and its arguments), with `variables` ("NAME=value")
// besides our environment, of which it gets nothing of ours (TUNNEL_URING_*: the token may be among
// them). Its input is empty, its output goes where our log goes. It is killed with all that it
// started after 30 s, and when `stop` is requested. Empty when it ended well; else what was wrong.
//
// Spawning may take a while (the program lies on a slow disk), so a thread of its own does it. It
// is posix_spawn(3), a clone(2) with CLONE_VM and CLONE_VFORK: nothing of our memory is copied, so
// the ring's pages are shared with nobody, only that thread waits for the exec, and from the exec
// on the child has none of our descriptors.
task<std::string> run_alert_program(io_context& io, std::vector<std::string> words,
                                    std::vector<std::string> variables, cancel_token stop);

}  // namespace tunnel_uring
