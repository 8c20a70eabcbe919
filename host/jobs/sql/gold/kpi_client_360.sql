-- What each CRM client is worth, and the RFM scores that dim_client takes its segment from.
-- Cancelled orders count nowhere. Scores are quintiles over the clients that ordered at all.
WITH commandes AS (
    SELECT
        client_id,
        count(*)                                             AS nb_commandes,
        coalesce(sum(montant_total), 0)                      AS montant_total,
        max(date_of_id(date_id))                             AS date_derniere_commande
    FROM gold.fact_commande
    WHERE statut IS DISTINCT FROM 'cancelled'
    GROUP BY client_id
),
acheteurs AS (
    SELECT commandes.*
    FROM commandes
    JOIN silver.crm ON crm.client_id = commandes.client_id
),
-- NTILE(5) by its definition: of n clients each quintile holds n / 5, the first n % 5 of them one more. The window
-- function itself holds all rows in memory at once; row_number() lets them pass.
effectif AS (
    SELECT count(*) / 5 AS taille, count(*) % 5 AS reste FROM acheteurs
),
rangs AS (
    SELECT
        acheteurs.*,
        CAST(row_number() OVER (ORDER BY date_derniere_commande ASC NULLS FIRST, client_id) AS BIGINT) - 1  AS r,
        CAST(row_number() OVER (ORDER BY nb_commandes ASC, client_id) AS BIGINT) - 1                        AS f,
        CAST(row_number() OVER (ORDER BY montant_total ASC, client_id) AS BIGINT) - 1                       AS m
    FROM acheteurs
),
quintiles AS (
    SELECT
        client_id, nb_commandes, montant_total, date_derniere_commande,
        1 + CASE WHEN r < reste * (taille + 1) THEN r / (taille + 1) ELSE (r - reste) / nullif(taille, 0) END  AS r,
        1 + CASE WHEN f < reste * (taille + 1) THEN f / (taille + 1) ELSE (f - reste) / nullif(taille, 0) END  AS f,
        1 + CASE WHEN m < reste * (taille + 1) THEN m / (taille + 1) ELSE (m - reste) / nullif(taille, 0) END  AS m
    FROM effectif
    CROSS JOIN rangs
),
clients AS (
    SELECT
        crm.client_id,
        coalesce(quintiles.nb_commandes, 0)                  AS nb_commandes,
        coalesce(quintiles.montant_total, 0)                 AS montant_total,
        quintiles.montant_total / quintiles.nb_commandes     AS panier_moyen,
        date_derniere_commande,
        -- Dates are whole days since the epoch.
        CAST(CAST($as_of AS DATE) AS INT) - CAST(date_derniere_commande AS INT) AS recence_jours,
        coalesce(r, 1)                                       AS r_score,
        coalesce(f, 1)                                       AS f_score,
        coalesce(m, 1)                                       AS m_score,
        lifetime_value_eur,
        100.0 * (
              CASE WHEN email_hash          IS NULL THEN 0 ELSE 1 END
            + CASE WHEN age                 IS NULL THEN 0 ELSE 1 END
            + CASE WHEN ville               IS NULL THEN 0 ELSE 1 END
            + CASE WHEN code_postal         IS NULL THEN 0 ELSE 1 END
            + CASE WHEN pays                IS NULL THEN 0 ELSE 1 END
            + CASE WHEN segment_client      IS NULL THEN 0 ELSE 1 END
            + CASE WHEN canal_acquisition   IS NULL THEN 0 ELSE 1 END
            + CASE WHEN categorie_preferee  IS NULL THEN 0 ELSE 1 END
        ) / 8                                                AS completude_profil
    FROM silver.crm
    LEFT JOIN quintiles ON quintiles.client_id = crm.client_id
)
SELECT
    client_id,
    nb_commandes,
    montant_total,
    panier_moyen,
    date_derniere_commande,
    recence_jours,
    r_score,
    f_score,
    m_score,
    CASE
        WHEN r_score >= 4 AND f_score >= 4 AND m_score >= 4 THEN 'champions'
        WHEN f_score >= 4                                   THEN 'fideles'
        WHEN r_score >= 4 AND f_score <= 2                  THEN 'nouveaux'
        WHEN r_score <= 2 AND f_score >= 3                  THEN 'a_risque'
        WHEN r_score <= 2 AND f_score <= 2                  THEN 'perdus'
        ELSE 'potentiels'
    END                                                      AS segment_rfm,
    lifetime_value_eur,
    nb_commandes = 0 OR coalesce(recence_jours > 90, FALSE)  AS risque_churn,
    completude_profil
FROM clients
ORDER BY client_id
