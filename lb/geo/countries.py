"""Which continent each country is on, and the regions that the continents make. Literal tables, no logic.

Countries are ISO 3166-1 alpha-2 codes (and XK, Kosovo), continents the words a configuration uses: their two-letter codes
mean countries too (AF, AS, NA and SA are Afghanistan, American Samoa, Namibia and Saudi Arabia). Who is where is as in
GeoNames, which GeoLite2 follows.
"""

from __future__ import annotations

CONTINENT_CODES = {
    "africa": "AF",
    "antarctica": "AN",
    "asia": "AS",
    "europe": "EU",
    "north_america": "NA",
    "oceania": "OC",
    "south_america": "SA",
}
"""The codes that a database has."""

_COUNTRIES = {
    "AF": "DZ AO BJ BW BF BI CV CM CF TD KM CG CD CI DJ EG GQ ER SZ ET GA GM GH GN GW KE LS LR LY MG MW ML MR MU YT MA MZ NA "
    "NE NG RE RW SH ST SN SC SL SO ZA SS SD TZ TG TN UG EH ZM ZW",
    "AN": "AQ BV GS HM TF",
    "AS": "AF AM AZ BH BD BT IO BN KH CC CN GE HK IN ID IR IQ IL JP JO KZ KW KG LA LB MO MY MV MN MM NP KP OM PK PS PH QA SA "
    "SG KR LK SY TW TJ TH TR TM AE UZ VN YE",
    "EU": "AX AL AD AT BY BE BA BG HR CY CZ DK EE FO FI FR DE GI GR GG VA HU IS IE IM IT JE XK LV LI LT LU MT MD MC ME NL MK "
    "NO PL PT RO RU SM RS SK SI ES SJ SE CH UA GB",
    "NA": "AI AG AW BS BB BZ BM BQ VG CA KY CR CU CW DM DO SV GL GD GP GT HT HN JM MQ MX MS NI PA PR BL KN LC MF PM VC SX TT "
    "TC US VI",
    "OC": "AS AU CK CX FJ PF GU KI MH FM NR NC NZ NU NF MP PW PG PN WS SB TK TL TO TV UM VU WF",
    "SA": "AR BO BR CL CO EC FK GF GY PY PE SR UY VE",
}
CONTINENT_OF = {country: code for code, countries in _COUNTRIES.items() for country in countries.split()}

DEFAULT_REGION = "US"
DEFAULT_REGIONS: dict[str, tuple[str, ...]] = {
    "EU": ("europe", "africa"),
    "APAC": ("asia", "oceania"),
    "US": ("north_america", "south_america", "antarctica"),
}
DEFAULT_NEAREST: dict[str, tuple[str, ...]] = {"EU": ("US", "APAC"), "APAC": ("US", "EU"), "US": ("EU", "APAC")}
"""By the round trips of today's cables, nearest first: London to New York 70 ms, Tokyo to Los Angeles 100 ms, Singapore
to London 170 ms."""
MAX_REGIONS = 32
