-- Clients of a country that dim_pays does not know, among those that have one.
SELECT
    count(*) FILTER (WHERE pays.pays_id IS NULL) AS part,
    count(*)                                     AS whole
FROM gold.dim_client AS client
LEFT JOIN gold.dim_pays AS pays ON pays.pays_id = client.pays_id
WHERE client.pays_id IS NOT NULL
