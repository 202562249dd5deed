-- The photographs that come on record.
-- grain: one row per image_name
-- tables: outcomes, matched_rows
-- params: none
select
    outcomes.image_name,
    outcomes.image_id,
    outcomes.observation_id,
    matched_rows.split_tag,
    matched_rows.organ,
    matched_rows.latitude,
    matched_rows.longitude,
    matched_rows.country_code,
    matched_rows.base_quadrat,
    matched_rows.transect,
    matched_rows.observed_on,
    matched_rows.license,
    matched_rows.author,
    outcomes.location as source_uri,
    matched_rows.extra
from outcomes
inner join matched_rows on outcomes.row_number = matched_rows.row_number
where outcomes.outcome = 'new'
order by outcomes.image_name
