-- Latest acts of the audit trail, as hosts remember them, that this database does not have and that nobody accepted yet. No row: none is missing.
select l.event_id, l.seal, l.noticed_at, l.noticed_by from tminus.lost_acts l where l.accepted_at is null order by l.seal, l.event_id
