// Coroutine frames come from free lists: a thread's frames of one size class are used again and
// again, so the steady state allocates nothing. Under AddressSanitizer every frame is its own heap
// block, so that a use after the end is seen.
#include <array>
#include <cstdlib>
#include <new>

#include "coro/run_queue.hpp"

namespace tunnel_uring {

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool reuse_frames = false;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
constexpr bool reuse_frames = false;
#else
constexpr bool reuse_frames = true;
#endif
#else
constexpr bool reuse_frames = true;
#endif

constexpr std::size_t class_bytes = 64;
constexpr std::size_t classes_count = 64;  // Frames up to 4 KiB are kept; larger ones are rare.

// From 0; no frame is empty.
constexpr std::size_t class_of(std::size_t size) { return (size - 1) / class_bytes; }

struct free_frame {
    free_frame* next;
};

struct frame_lists {
    std::array<free_frame*, classes_count> heads{};
    std::size_t live = 0;

    ~frame_lists() {
        for (free_frame* head : heads) {
            while (head != nullptr) ::operator delete(std::exchange(head, head->next));
        }
    }
};

thread_local frame_lists lists;

}  // namespace

std::size_t live_frames() noexcept { return lists.live; }

namespace detail {

void* allocate_frame(std::size_t size) {
    lists.live += 1;
    const std::size_t size_class = class_of(size);
    if (!reuse_frames || size_class >= classes_count) return ::operator new(size);
    free_frame*& head = lists.heads[size_class];
    if (head == nullptr) return ::operator new((size_class + 1) * class_bytes);
    return std::exchange(head, head->next);
}

void release_frame(void* frame, std::size_t size) noexcept {
    lists.live -= 1;
    const std::size_t size_class = class_of(size);
    if (!reuse_frames || size_class >= classes_count) return ::operator delete(frame);
    lists.heads[size_class] = new (frame) free_frame{lists.heads[size_class]};
}

}  // namespace detail
}  // namespace tunnel_uring
