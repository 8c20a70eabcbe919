-- Every day from the first to the last that any fact uses.
WITH utilisees AS (
    SELECT date_id FROM gold.fact_commande
    UNION ALL SELECT date_id FROM gold.fact_paiement
    UNION ALL SELECT date_id FROM gold.fact_livraison
    UNION ALL SELECT date_id FROM gold.fact_evenement_web
    UNION ALL SELECT date_id FROM gold.fact_evenement_mobile
    UNION ALL SELECT date_id FROM gold.fact_kyc
),
bornes AS (
    SELECT date_of_id(min(date_id)) AS premiere, date_of_id(max(date_id)) AS derniere FROM utilisees
),
jours AS (
    SELECT CAST(unnest(generate_series(premiere, derniere, INTERVAL '1' DAY)) AS DATE) AS jour FROM bornes
)
SELECT
    date_id(jour)                                     AS date_id,
    jour                                              AS date,
    date_part('day', jour)                            AS jour,
    date_part('isodow', jour)                         AS jour_semaine,
    date_part('week', jour)                           AS semaine_iso,
    substr(CAST(jour AS VARCHAR), 1, 7)               AS mois,
    date_part('quarter', jour)                        AS trimestre,
    date_part('year', jour)                           AS annee,
    est_jour_ouvre(jour)                              AS est_jour_ouvre,
    est_ferie(jour)                                   AS est_ferie
FROM jours
ORDER BY 1
