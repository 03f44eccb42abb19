// What the command line ends with; documented in its help.
#pragma once

namespace tunnel_uring {

enum exit_status : int {
    exit_ok = 0,
    exit_failed = 1,
    exit_usage = 2,
    exit_bad_config = 3,
    exit_host = 4,         // This host cannot run it: no io_uring, a port taken, not permitted.
    exit_refused = 5,      // By the relay: the token, a port or a name.
    exit_limit = 6,        // A check or a limit was not met.
    exit_signalled = 128,  // Plus the number of the second signal, which ended it at once.
};

}  // namespace tunnel_uring
