/**
 * The region to sign for, read from an endpoint's host name. A wrong one is refused by most stores
 * (`AuthorizationHeaderMalformed`, `SignatureDoesNotMatch`); where a store accepts any, `us-east-1` is what clients send.
 */
export function regionOf(endpoint: URL): string {
  for (const { host, region } of RULES) {
    const match = host.exec(endpoint.hostname);
    if (match) return region ?? match.groups?.region ?? DEFAULT_REGION;
  }
  return DEFAULT_REGION;
}

const DEFAULT_REGION = 'us-east-1';

interface RegionRule {
  /** Matched from the end of the host name, since a bucket may stand in front. */
  readonly host: RegExp;
  /** When it is not in the name: a group called `region` is missing, or did not match. */
  readonly region?: string;
}

/** The first that matches counts. */
const RULES: readonly RegionRule[] = [
  // s3.REGION, s3-REGION, s3-fips.REGION, s3.dualstack.REGION, and endpoints of a VPC.
  {
    host: /(?:^|\.)s3(?:-fips)?[.-](?:dualstack\.)?(?<region>[a-z]+(?:-[a-z]+)+-\d+)(?:\.vpce)?\.amazonaws\.com(?:\.cn)?$/,
  },
  // Without a region: s3.amazonaws.com, s3-accelerate, s3-external-1.
  { host: /\.amazonaws\.com$/, region: 'us-east-1' },
  { host: /\.r2\.cloudflarestorage\.com$/, region: 'auto' },
  { host: /(?:^|\.)storage\.googleapis\.com$/, region: 'auto' },
  { host: /(?:^|\.)(?:fly\.storage\.tigris|t3\.storage)\.dev$/, region: 'auto' },
  { host: /(?:^|\.)s3api-(?<region>[a-z]+(?:-[a-z]+)+-\d+)\.runpod\.io$/ },
  { host: /(?:^|\.)(?<region>[a-z]{3}\d)\.digitaloceanspaces\.com$/ },
  { host: /(?:^|\.)(?<region>[a-z]+(?:-[a-z]+)+-\d+)\.linodeobjects\.com$/ },
  { host: /(?:^|\.)(?<region>[a-z]{3}\d)\.your-objectstorage\.com$/ },
  { host: /(?:^|\.)(?<region>[a-z]{3}\d)\.vultrobjects\.com$/ },
  { host: /(?:^|\.)sos-(?<region>[a-z]{2}-[a-z]+-\d)\.exo\.io$/ },
  { host: /(?:^|\.)(?<region>oss-[a-z]+-[a-z-]+\d?)\.aliyuncs\.com$/ },
  { host: /\.compat\.objectstorage\.(?<region>[a-z]+-[a-z]+-\d)\.oraclecloud\.com$/ },
  { host: /(?:^|\.)s3\.(?<region>[a-z]{2}-[a-z]{3})\.scw\.cloud$/ },
  { host: /(?:^|\.)s3\.(?<region>[a-z0-9-]+)\.(?:io\.|perf\.)?cloud\.ovh\.[a-z]+$/ },
  // What most others do: Backblaze, Wasabi, IONOS. `s3.local` and `s3.my-company.com` have no region in them.
  { host: /(?:^|\.)s3[.-](?<region>[a-z]+(?:-[a-z]+)+-\d+)\.[^.]+\.[^.]+/ },
];
