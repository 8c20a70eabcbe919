-- Requests by day, method and path, bots included.
SELECT
    sha256_32(concat(CAST(log_date AS VARCHAR), '|', method, '|', path)) AS evenement_id,
    date_id(log_date)                                                    AS date_id,
    method,
    path,
    count(*)                                                             AS nb_requetes,
    100.0 * count(*) FILTER (WHERE status_code >= 400) / count(*)        AS taux_erreur,
    avg(response_time_ms)                                                AS latence_moyenne_ms
FROM silver.nginx
GROUP BY log_date, method, path
ORDER BY date_id, method, path
