#include "app/version.hpp"

#include <fmt/format.h>
#include <openssl/crypto.h>

#include <vector>

namespace tunnel_uring {

std::string features_in_use(const kernel_features& kernel) {
    std::vector<std::string_view> names;
    if (kernel.multishot_accept) names.emplace_back("multishot accept");
    if (kernel.multishot_receive) names.emplace_back("multishot receive and poll");
    if (kernel.buffer_ring) names.emplace_back("provided buffers");
    if (kernel.defer_taskrun) names.emplace_back("defer_taskrun");
    return names.empty() ? "nothing" : fmt::format("{}", fmt::join(names, ", "));
}

std::string features_unused(const kernel_features& kernel) {
    std::vector<std::string_view> names;
    if (kernel.receive_bundles) names.emplace_back("receive bundles");
    if (kernel.send_zero_copy) names.emplace_back("send_zc");
    return fmt::format("{}", fmt::join(names, ", "));
}

std::string_view liburing_version() noexcept { return TUNNEL_URING_LIBURING; }

std::string version_text() {
    std::string text = fmt::format("tunnel-uring {}\nliburing {}\n{}\n", TUNNEL_URING_VERSION,
                                   liburing_version(), OpenSSL_version(OPENSSL_VERSION));
    const result<kernel_features> kernel = probe_kernel();
    if (!kernel) return text + fmt::format("io_uring: {}\n", kernel.error().message());
    text +=
        fmt::format("Linux {}\nio_uring: in use: {}\n", kernel->release, features_in_use(*kernel));
    const std::string unused = features_unused(*kernel);
    if (!unused.empty()) text += fmt::format("io_uring: there, not used yet: {}\n", unused);
    return text;
}

}  // namespace tunnel_uring
