// What is asked of a kernel before anything runs on it, and what is said of one that refuses.
#include <gtest/gtest.h>
#include <liburing.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <array>
#include <cstdlib>

#include "ring/both_kernels.hpp"
#include "ring/uring_setup.hpp"

namespace tunnel_uring::test {
namespace {

class probe : public testing::Test {
  protected:
    void SetUp() override {
        result<kernel_features> asked = probe_kernel();
        if (!asked) GTEST_SKIP() << asked.error().message();
        features = *asked;
    }
    kernel_features features;
};

TEST_F(probe, names_the_kernel_it_ran_on) {
    utsname system{};
    uname(&system);
    EXPECT_EQ(features.release, system.release);
}

TEST_F(probe, claims_nothing_without_what_it_rests_on) {
    EXPECT_TRUE(features.buffer_ring || !features.multishot_receive);
    EXPECT_TRUE(features.multishot_receive || !features.receive_bundles);
    EXPECT_TRUE(features.multishot_receive || !features.multishot_accept);
}

TEST_F(probe, finds_deferred_work_exactly_where_a_backend_can_be_made) {
    EXPECT_EQ(make_uring_backend({}).has_value(), features.defer_taskrun);
}

TEST_F(probe, says_the_same_twice) {
    const result<kernel_features> again = probe_kernel();
    ASSERT_TRUE(again);
    EXPECT_EQ(again->multishot_receive, features.multishot_receive);
    EXPECT_EQ(again->receive_bundles, features.receive_bundles);
    EXPECT_EQ(again->send_zero_copy, features.send_zero_copy);
}

TEST_F(probe, leaves_no_descriptor_behind) {
    const std::size_t before = open_descriptors();
    EXPECT_TRUE(probe_kernel());
    EXPECT_EQ(open_descriptors(), before);
}

TEST(no_ring, for_want_of_descriptors_is_said_with_the_remedy) {
    const result<kernel_features> usual = probe_kernel();
    if (!usual) GTEST_SKIP() << usual.error().message();
    refuse_descriptors(true);
    const result<std::unique_ptr<backend>> kernel = make_uring_backend({});
    const result<kernel_features> asked = probe_kernel();
    refuse_descriptors(false);
    EXPECT_EQ(code_of(kernel), EMFILE);
    EXPECT_NE(kernel.error().sentence().find("ulimit -n"), std::string::npos);
    EXPECT_EQ(code_of(asked), EMFILE);
    EXPECT_EQ(asked.error().sentence(), kernel.error().sentence());
}

struct refusal {
    int code;
    const char* name;
    const char* remedy;
};

class refused_ring : public testing::TestWithParam<refusal> {};
INSTANTIATE_TEST_SUITE_P(with, refused_ring,
                         testing::Values(refusal{EPERM, "EPERM", "kernel.io_uring_disabled"},
                                         refusal{EPERM, "EPERM_in_a_container", "seccomp"},
                                         refusal{ENOSYS, "ENOSYS", "Linux 6.1 or newer"},
                                         refusal{EINVAL, "EINVAL", "Linux 6.1 or newer"},
                                         refusal{ENOMEM, "ENOMEM", "ulimit -l"},
                                         refusal{EMFILE, "EMFILE", "ulimit -n"},
                                         refusal{EIO, "another_errno", "Input/output error"}),
                         [](const auto& which) { return std::string{which.param.name}; });

TEST_P(refused_ring, names_the_remedy) {
    const std::string sentence = ring_setup_sentence(GetParam().code);
    EXPECT_NE(sentence.find(GetParam().remedy), std::string::npos) << sentence;
}

// Zero when an operation that needs a kernel worker was seen to have one.
[[noreturn]] void look_for_a_worker() {
    io_uring ring{};
    std::array<int, 2> pair{};
    if (io_uring_queue_init(4, &ring, 0) < 0) std::exit(1);
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) != 0) std::exit(2);
    io_uring_prep_shutdown(io_uring_get_sqe(&ring), pair[0], SHUT_WR);
    if (io_uring_submit_and_wait(&ring, 1) != 1) std::exit(3);
    std::exit(uring_workers() > 0 ? 0 : 4);
}

// The other tests demand that no kernel worker is seen; this one shows that they would see it. In a
// process of its own, which the worker does not outlive.
TEST(kernel_workers_death, are_seen_where_an_operation_needs_one) {
    if (const auto usual = probe_kernel(); !usual) GTEST_SKIP() << usual.error().message();
    EXPECT_EXIT(look_for_a_worker(), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace tunnel_uring::test
