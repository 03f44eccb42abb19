// A doubly linked list of things that carry their own links: no allocation, O(1) unlink from
// anywhere.
#pragma once

#include <cstddef>

#include "base/check.hpp"

namespace tunnel_uring {

// One membership. `Tag` tells apart several lists that one object can be on. Not movable while
// linked; unlinks itself when destroyed.
template <class Tag>
class list_link {
  public:
    list_link() noexcept = default;
    list_link(const list_link&) = delete;
    list_link& operator=(const list_link&) = delete;
    ~list_link() { unlink(); }

    bool linked() const noexcept { return next_ != nullptr; }
    void unlink() noexcept {
        if (!linked()) return;
        previous_->next_ = next_;
        next_->previous_ = previous_;
        next_ = previous_ = nullptr;
    }

  private:
    template <class, class>
    friend class intrusive_list;
    list_link* next_ = nullptr;
    list_link* previous_ = nullptr;
};

// `T` derives from list_link<Tag>. The list does not own; it must be empty when destroyed.
template <class T, class Tag = T>
class intrusive_list {
    using link = list_link<Tag>;

  public:
    intrusive_list() noexcept { head_.next_ = head_.previous_ = &head_; }
    intrusive_list(const intrusive_list&) = delete;
    intrusive_list& operator=(const intrusive_list&) = delete;
    ~intrusive_list() {
        TU_ASSERT(empty());
        head_.next_ = head_.previous_ = nullptr;
    }

    bool empty() const noexcept { return head_.next_ == &head_; }
    T& front() noexcept { return item(head_.next_); }
    T& back() noexcept { return item(head_.previous_); }
    void push_back(T& value) noexcept { insert(*head_.previous_, value); }
    void push_front(T& value) noexcept { insert(head_, value); }
    T& pop_front() noexcept {
        TU_ASSERT(!empty());
        T& first = front();
        static_cast<link&>(first).unlink();
        return first;
    }
    T& pop_back() noexcept {
        TU_ASSERT(!empty());
        T& last = back();
        static_cast<link&>(last).unlink();
        return last;
    }
    // Visits each; `visit` may unlink the item it is given, and no other.
    template <class Visit>
    void for_each(Visit&& visit) {
        for (link* at = head_.next_; at != &head_;) {
            link* const following = at->next_;
            visit(item(at));
            at = following;
        }
    }

  private:
    static T& item(link* at) noexcept { return static_cast<T&>(*at); }
    void insert(link& after, T& value) noexcept {
        link& added = value;
        TU_ASSERT(!added.linked());
        added.previous_ = &after;
        added.next_ = after.next_;
        after.next_->previous_ = &added;
        after.next_ = &added;
    }
    link head_;
};

}  // namespace tunnel_uring
