// `check`: the config and this host, row by row, each with its remedy.
#pragma once

#include <string>
#include <vector>

#include "app/config_loader.hpp"
#include "app/exit_status.hpp"

namespace tunnel_uring {

enum class verdict { ok, warn, fail, skip };

struct check_row {
    verdict what = verdict::ok;
    std::string name;                 // "config", "io_uring", …
    std::string text;                 // What was found.
    std::string remedy;               // "" when there is nothing to do.
    exit_status status = exit_limit;  // The command's, when this fails.
};

struct check_options {
    bool offline = false;
    bool json = false;
    bool print = false;  // The config in force instead of rows.
};

// Prints to stdout. Ends with the status of the first row that failed.
exit_status run_check(loaded_config config, const check_options& options);

// "[ OK ] io_uring: …", "[WARN] … -> remedy".
std::string row_text(const check_row& row);
std::string rows_json(const std::vector<check_row>& rows);

}  // namespace tunnel_uring
