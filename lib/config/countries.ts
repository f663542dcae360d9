const codes = (text: string): readonly string[] => text.trim().split(/\s+/);

/**
 * The 175 countries from which Anthropic supports access to the Claude API, as ISO 3166-1 alpha-2 codes
 * (platform.claude.com/docs/en/api/supported-regions, read in November 2026). Ukraine stands without Crimea, Donetsk and
 * Luhansk, which no country code can express.
 */
export const SUPPORTED_COUNTRIES: ReadonlySet<string> = new Set(
  codes(`
    AL DZ AD AO AG AR AM AU AT AZ BS BH BD BB BE BZ BJ BT BO BA BW BR BN BG BF BI CV KH CM CA TD CL CO KM CG CR CI HR CY
    CZ DK DJ DM DO EC EG SV GQ EE SZ FJ FI FR GA GM GE DE GH GR GD GT GN GW GY HT VA HN HU IS IN ID IQ IE IL IT JM JP JO
    KZ KE KI KW KG LA LV LB LS LR LI LT LU MG MW MY MV MT MH MR MU MX FM MD MC MN ME MA MZ NA NR NP NL NZ NE NG MK NO OM
    PK PW PS PA PG PY PE PH PL PT QA RO RW KN LC VC WS SM ST SA SN RS SC SL SG SK SI SB ZA KR ES LK SR SE CH TW TJ TZ TH
    TL TG TO TT TN TR TM TV UG UA AE GB US UY UZ VU VN ZM ZW`),
);

/**
 * Territories with a country code of their own, by the supported country that they belong to. The published list names
 * countries only, while Route 53 and WAF place an address in Puerto Rico under PR and not under US.
 */
export const TERRITORIES: Readonly<Record<string, readonly string[]>> = {
  AU: codes('CC CX HM NF'),
  DK: codes('FO GL'),
  FI: codes('AX'),
  FR: codes('BL GF GP MF MQ NC PF PM RE TF WF YT'),
  GB: codes('AI BM FK GG GI GS IM IO JE KY MS PN SH TC VG'),
  NL: codes('AW BQ CW SX'),
  NO: codes('BV SJ'),
  NZ: codes('CK NU TK'),
  US: codes('AS GU MP PR UM VI'),
};

/** The remaining codes of ISO 3166-1, from which the Claude API must not be used. */
export const UNSUPPORTED_COUNTRIES: ReadonlySet<string> = new Set(
  codes('AF AQ BY CD CF CN CU EH ER ET HK IR KP LY ML MM MO NI RU SD SO SS SY VE YE'),
);

const territories: ReadonlySet<string> = new Set(Object.values(TERRITORIES).flat());

/** What a country code means to the gateway. */
export type CountryStatus = 'supported' | 'unsupported' | 'unknown';

/** Whether Claude may be used from a country; `unknown` is no code of ISO 3166-1, which Route 53 and WAF go by. */
export function countryStatus(code: string): CountryStatus {
  if (SUPPORTED_COUNTRIES.has(code) || territories.has(code)) return 'supported';
  return UNSUPPORTED_COUNTRIES.has(code) ? 'unsupported' : 'unknown';
}
