-- From here to the end of the transaction the caller, a gateway, changes sites and windows for person $1. One row.
select set_config('tminus.acting_for', $1, true)
