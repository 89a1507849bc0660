-- Does this database have the act that this host remembers as the latest, event $3 with hash $4, sealed as $2, or did a person accept that it
-- does not? $1: who asks. One row; see tminus.note_lost_acts.
select tminus.note_lost_acts($1, $2, $3, $4)
