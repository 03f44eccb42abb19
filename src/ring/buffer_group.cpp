#include "ring/buffer_group.hpp"

#include <sys/mman.h>

#include "base/check.hpp"
#include "ring/io_context.hpp"

namespace tunnel_uring {

bytes_view buffer::bytes() const noexcept {
    if (group_ == nullptr) return {};
    return group_->memory_.subspan(std::size_t{id_} * group_->size_, size_);
}

void buffer::reset() noexcept {
    if (group_ == nullptr) return;
    std::exchange(group_, nullptr)->drop_share(id_);
}

buffer buffer::share() const noexcept {
    if (group_ == nullptr) return {};
    group_->shares_[id_] += 1;
    return buffer{*group_, id_, size_};
}

buffer_group::buffer_group(io_context& io, std::uint32_t count, std::uint32_t size)
    : io_{io}, count_{count}, size_{size}, shares_(count) {
    if (io.free_groups_.empty()) io.free_groups_.push_back(io.next_group_++);
    id_ = io.free_groups_.back();
    io.free_groups_.pop_back();
    const std::size_t total = std::size_t{count} * size;
    // Touched only as buffers are used: an unused group costs address space, not memory.
    void* const memory =
        mmap(nullptr, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    TU_ASSERT(memory != MAP_FAILED);
    memory_ = {static_cast<std::byte*>(memory), total};
    const result<void> added = io_.kernel().add_buffers(id_, memory_, count, size);
    TU_ASSERT(added);
}

buffer_group::~buffer_group() {
    TU_ASSERT(lent_ == 0);
    io_.kernel().remove_buffers(id_);
    munmap(memory_.data(), memory_.size());
    io_.free_groups_.push_back(id_);
}

task<result<void>> buffer_group::wait_for_buffer(cancel_token stop) {
    deadline soon{io_, 10ms, stop};
    const result<void> home = co_await came_home_.wait(soon.token());
    if (!home && !soon.expired_first()) co_return home;
    co_return result<void>{};
}

buffer buffer_group::take(std::uint16_t id, std::uint32_t size) noexcept {
    TU_ASSERT(id < count_ && size <= size_ && shares_[id] == 0);
    shares_[id] = 1;
    lent_ += 1;
    io_.lent_buffers_ += 1;
    return buffer{*this, id, size};
}

void buffer_group::drop_share(std::uint16_t id) noexcept {
    TU_ASSERT(shares_[id] > 0);
    shares_[id] -= 1;
    if (shares_[id] != 0) return;
    lent_ -= 1;
    io_.lent_buffers_ -= 1;
    io_.kernel().provide_buffer(id_, id);
    came_home_.notify();
}

}  // namespace tunnel_uring
