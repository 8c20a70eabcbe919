-- Availability and latency of each day.
-- The 95th percentile is continuous (linear interpolation) and exact: it is read off the tally of each
-- day's latencies, which are whole milliseconds, so that no day's requests need to fit in memory. With n
-- latencies in order it lies at rank 0.95 (n - 1), from 0: between `rang` and, when that leaves a rest, the one behind.
WITH tallies AS (
    SELECT log_date, response_time_ms AS ms, count(*) AS requetes
    FROM silver.nginx
    WHERE response_time_ms IS NOT NULL
    GROUP BY log_date, response_time_ms
),
cumuls AS (
    SELECT
        log_date,
        ms,
        sum(requetes) OVER (PARTITION BY log_date ORDER BY ms ROWS UNBOUNDED PRECEDING) AS jusque_ici,
        95 * (sum(requetes) OVER (PARTITION BY log_date) - 1) / 100                      AS rang,
        95 * (sum(requetes) OVER (PARTITION BY log_date) - 1) % 100                      AS reste
    FROM tallies
),
voisines AS (
    SELECT
        log_date,
        max(reste)                                                          AS reste,
        min(ms) FILTER (WHERE jusque_ici > rang)                            AS basse,
        min(ms) FILTER (WHERE jusque_ici > rang + CASE WHEN reste > 0 THEN 1 ELSE 0 END) AS haute
    FROM cumuls
    GROUP BY log_date
),
latences AS (
    SELECT log_date, basse + (haute - basse) * (reste / 100.0) AS latence_p95_ms FROM voisines
),
jours AS (
    SELECT
        log_date,
        count(*)                                                            AS nb_requetes,
        100.0 * count(*) FILTER (WHERE status_famille = '2xx') / count(*)   AS taux_2xx,
        100.0 * count(*) FILTER (WHERE status_famille = '3xx') / count(*)   AS taux_3xx,
        100.0 * count(*) FILTER (WHERE status_famille = '4xx') / count(*)   AS taux_4xx,
        100.0 * count(*) FILTER (WHERE status_famille = '5xx') / count(*)   AS taux_5xx
    FROM silver.nginx
    GROUP BY log_date
)
SELECT
    jours.log_date     AS date,
    nb_requetes,
    100.0 - taux_5xx   AS disponibilite,
    taux_2xx,
    taux_3xx,
    taux_4xx,
    taux_5xx,
    latence_p95_ms
FROM jours
LEFT JOIN latences ON latences.log_date = jours.log_date
ORDER BY date
