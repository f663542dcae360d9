import { isIP } from 'node:net';
import { z } from 'zod';

/** The route classes of the gateway. Each chooses timeouts, body limits, limits and cacheability of its requests. */
export const ROUTE_CLASSES = ['generate', 'count', 'models', 'batches', 'files', 'other'] as const;

/** One route class: `generate` is `POST /v1/messages`, `other` is whatever else stands under `/v1/`. */
export type RouteClass = (typeof ROUTE_CLASSES)[number];

/** A route class by name. */
export const routeClass = z.enum(ROUTE_CLASSES);

/** A number of whole seconds within bounds. */
export const seconds = (min: number, max: number) => z.int().min(min).max(max);

/** A number of whole bytes within bounds. */
export const bytes = (min: number, max: number) => z.int().min(min).max(max);

/** 1 MiB in bytes. */
export const MIB = 1024 * 1024;

/** An identifier that is safe as a DNS label, a metric dimension and a file name. */
export const identifier = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'must be 1 to 63 of a-z, 0-9 and inner hyphens');

/** An AWS region name, such as `eu-central-1`. */
export const awsRegion = z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'must be an AWS region name such as eu-central-1');

/** A DNS host name without a trailing dot. */
export const hostname = z
  .string()
  .max(253)
  .regex(
    /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$/,
    'must be a lower-case DNS name without a trailing dot',
  );

/** An IPv4 or IPv6 address. */
export const ipAddress = z.string().refine((value) => isIP(value) !== 0, 'must be an IPv4 or IPv6 address');

/** A CIDR block, IPv4 or IPv6. */
export const cidr = z.string().refine((value) => {
  const [address, prefix, ...rest] = value.split('/');
  const family = isIP(address ?? '');
  const length = Number(prefix);
  return rest.length === 0 && family !== 0 && /^\d{1,3}$/.test(prefix ?? '') && length <= (family === 4 ? 32 : 128);
}, 'must be a CIDR block such as 10.0.0.0/16 or 2001:db8::/32');

/** An ISO 3166-1 alpha-2 country code, upper case. */
export const countryCode = z.string().regex(/^[A-Z]{2}$/, 'must be an ISO 3166-1 alpha-2 code such as JP');

/** The name of an HTTP header, lower case. */
export const headerName = z.string().regex(/^[a-z0-9][a-z0-9-]*$/, 'must be a lower-case HTTP header name');

/** The value of an HTTP header: visible ASCII, without what nginx would read as a variable. */
export const headerValue = z
  .string()
  .regex(/^(?!.*\$)[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/, 'must be visible ASCII without a dollar sign');
