// What a refused ring means to a person.
#pragma once

#include <string>

namespace tunnel_uring {

// One sentence for an errno of io_uring_setup(2): the kernel, what is in the way, the remedy.
std::string ring_setup_sentence(int code);

}  // namespace tunnel_uring
