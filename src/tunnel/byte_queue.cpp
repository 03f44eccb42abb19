#include "tunnel/byte_queue.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace tunnel_uring {

block_pool::block block_pool::take() {
    if (kept_.empty()) return std::make_unique_for_overwrite<block::element_type>();
    block last = std::move(kept_.back());
    kept_.pop_back();
    return last;
}

void block_pool::give_back(block what) {
    if (kept_.size() < kept_limit) kept_.push_back(std::move(what));
}

void byte_queue::append(bytes_view bytes) {
    while (!bytes.empty()) {
        const std::size_t used = first_ + size_;
        const std::size_t position = used % block_pool::block_bytes;
        if (used == chain_.size() * block_pool::block_bytes) chain_.push_back(blocks_.take());
        const std::size_t count = std::min(bytes.size(), block_pool::block_bytes - position);
        std::copy_n(bytes.data(), count, chain_.back()->data() + position);
        size_ += count;
        bytes = bytes.subspan(count);
    }
}

std::size_t byte_queue::gather(std::span<iovec> vectors) const noexcept {
    std::size_t count = 0;
    std::size_t offset = first_;
    std::size_t left = size_;
    for (const block_pool::block& block : chain_) {
        if (left == 0 || count == vectors.size()) break;
        const std::size_t length = std::min(left, block_pool::block_bytes - offset);
        vectors[count++] = {.iov_base = block->data() + offset, .iov_len = length};
        left -= length;
        offset = 0;
    }
    return count;
}

void byte_queue::consume(std::size_t count) noexcept {
    TU_ASSERT(count <= size_);
    size_ -= count;
    first_ += count;
    while (first_ >= block_pool::block_bytes) {
        blocks_.give_back(chain_.pop_front());
        first_ -= block_pool::block_bytes;
    }
    if (size_ == 0) clear();
}

void byte_queue::clear() noexcept {
    for (block_pool::block& block : chain_) blocks_.give_back(std::move(block));
    chain_.clear();
    first_ = 0;
    size_ = 0;
}

}  // namespace tunnel_uring
