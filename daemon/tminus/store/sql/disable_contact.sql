-- Write to a contact ($1: its number) no more. No row: there is no such contact, or it is disabled already.
update tminus.contacts c set enabled = false where c.id = $1 and c.enabled returning c.id
