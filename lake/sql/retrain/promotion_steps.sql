-- The promotions and rollbacks of a model, in their order, and which of them were carried out to the end or given up.
-- grain: one row per promotion_id
-- tables: promotions
-- params: $model
select
    promotion_id,
    any_value(kind) as kind,
    any_value(from_version) as from_version,
    any_value(to_version) as to_version,
    any_value(reason) filter (where step = 'intended') as reason,
    min(recorded_at) as intended_at,
    count(*) filter (where step in ('done', 'given up')) > 0 as is_done
from promotions
where model = $model
group by promotion_id
order by intended_at, promotion_id
