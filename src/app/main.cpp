#include "app/demo.hpp"

int main() { return tunnel_uring::run_demo({}); }
