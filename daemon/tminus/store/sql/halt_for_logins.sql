-- Halt launch $1, whichever of its waves is open, for the reason $2. No row, or false: it is stopped already, or a wave was opened at this moment.
select tminus.halt(l.id, l.wave, $2) as halted from tminus.launches l where l.id = $1 and l.state = 'running' and l.finished_at is null
