-- Web facts of a day that dim_date does not know.
SELECT
    count(*) FILTER (WHERE jour.date_id IS NULL) AS part,
    count(*)                                     AS whole
FROM gold.fact_evenement_web AS fait
LEFT JOIN gold.dim_date AS jour ON jour.date_id = fait.date_id
