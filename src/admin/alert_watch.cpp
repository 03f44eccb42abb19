#include "admin/alert_watch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "admin/alert_program.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "coro/nursery.hpp"

namespace tunnel_uring {

namespace {

constexpr duration interval = 1s;
constexpr std::array<std::string_view, 3> severity_words{"critical", "major", "warning"};

log_level level_of(alert_severity severity) noexcept {
    return severity == alert_severity::critical ? log_level::error : log_level::warn;
}

}  // namespace

std::string_view name_of(alert_severity severity) noexcept {
    return severity_words[static_cast<std::size_t>(severity)];
}

alert_watch::alert_watch(io_context& io, const agent_config& config, const agent& serving)
    : io_{io}, serving_{serving} {
    for (const alert_config& one : config.alerts) {
        auto parsed = alert_rule::parse(one.when);
        TU_ASSERT(std::holds_alternative<alert_rule>(parsed));
        alert& made = alerts_.emplace_back();
        made.config = &one;
        made.rule = std::move(std::get<alert_rule>(parsed));
        for (const service_config& service : config.services) {
            made.instances.emplace_back();
            made.instances.back().service = &service;
        }
    }
}

task<> alert_watch::run(cancel_token stop) {
    nursery programs{stop};
    for (alert& one : alerts_) {
        if (!one.config->exec.empty()) programs.start(tell(one, programs.token()));
    }
    for (;;) {
        const result<void> slept = co_await io_.sleep(interval, stop);
        if (!slept) break;
        look();
    }
    programs.cancel();
    co_await programs.join();
}

void alert_watch::look() {
    const auto& services = serving_.services();
    for (std::size_t i = 0; i < services.size(); ++i) {
        const pool_stats pool = services[i]->pool().snapshot();
        for (alert& one : alerts_) look(one, one.instances[i], pool, io_.now());
    }
}

void alert_watch::look(alert& what, instance& of, const pool_stats& pool, time_point now) {
    const alert_config& config = *what.config;
    const bool holds = what.rule.holds(pool);
    const alert_state::change change = of.state.look(holds, config.hold, now);
    if (change == alert_state::change::none) return;
    of.value = what.rule.value(pool);
    const bool fired = change == alert_state::change::fired;
    const log_field value =
        of.value ? log_field{"value", *of.value} : log_field{"value", std::string_view{"none"}};
    log(fired ? level_of(config.severity) : log_level::info,
        fired ? "alert.firing" : "alert.resolved", config.when,
        {{"alert", config.name},
         {"severity", name_of(config.severity)},
         {"service", of.service->name},
         value});
    what.changed.notify();
}

// Its program is told of one change after another. What changes back while it runs is not told.
task<> alert_watch::tell(alert& what, cancel_token stop) {
    while (!stop.requested()) {
        const auto news =
            std::find_if(what.instances.begin(), what.instances.end(),
                         [](const instance& one) { return one.firing() != one.told; });
        if (news == what.instances.end()) {
            const result<void> changed = co_await what.changed.wait(stop);
            static_cast<void>(changed);
            continue;
        }
        news->told = news->firing();
        const alert_config& config = *what.config;
        std::vector<std::string> variables{
            fmt::format("TUNNEL_URING_ALERT={}", config.name),
            fmt::format("TUNNEL_URING_SEVERITY={}", name_of(config.severity)),
            fmt::format("TUNNEL_URING_STATE={}", news->told ? "firing" : "resolved"),
            fmt::format("TUNNEL_URING_SERVICE={}", news->service->name),
            fmt::format("TUNNEL_URING_VALUE={}",
                        news->value ? fmt::format("{}", *news->value) : std::string{})};
        const std::string trouble =
            co_await run_alert_program(io_, config.exec, std::move(variables), stop);
        if (!trouble.empty() && !stop.requested())
            log_warn("alert.exec_failed", trouble,
                     {{"alert", config.name}, {"program", config.exec.front()}});
    }
}

std::vector<alert_view> alert_watch::view() const {
    std::vector<alert_view> all;
    for (const alert& one : alerts_) {
        for (const instance& of : one.instances)
            all.push_back({one.config, of.service, of.state.now()});
    }
    return all;
}

}  // namespace tunnel_uring
