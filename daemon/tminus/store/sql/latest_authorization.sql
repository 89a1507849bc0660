-- The latest authorization that there is. One row; 0: there is none.
select coalesce(max(a.id), 0) as id from tminus.authorizations a
