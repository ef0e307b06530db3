import * as z from 'zod';
import { AmphoraStatus, OperatingStatus, ProvisioningStatus } from '../model/status.ts';

const Statuses = z.object({
  provisioning_status: z
    .enum([...ProvisioningStatus.options, ...AmphoraStatus.options])
    .describe('What the control plane does to the object; of an amphora, its `status`.'),
  operating_status: OperatingStatus.nullable().describe('What the object does; null for an amphora.'),
});

/** Kinds of objects that have statuses. */
export const resourceNames = [
  ...(['loadbalancer', 'listener', 'pool', 'member', 'healthmonitor'] as const),
  ...(['l7policy', 'l7rule', 'amphora'] as const),
];

/** One change of status, as subscribers get it. Fields may be added; none is removed or changes its meaning. */
export const StatusEvent = z
  .object({
    sequence: z.int().positive().describe('Grows with each event of an object, not without gaps.'),
    time: z.iso.datetime().describe("When the change was made, by the database's clock."),
    resource: z.enum(resourceNames),
    id: z.uuid().describe('The object.'),
    project_id: z.string().describe('Its project; that of an amphora is the one of its load balancer.'),
    loadbalancer_id: z.uuid().describe('The load balancer that it belongs to, or is.'),
    revision: z
      .int()
      .min(0)
      .describe(
        'Revision of the load balancer with the last change to the object; of a load balancer, with the last change ' +
          'to it or anything below it; of an amphora, the revision that it has in force.',
      ),
    old: Statuses.nullable().describe('Before the change; null when the object was created.'),
    new: Statuses.nullable().describe('After it; null when the object was removed.'),
  })
  .meta({ title: 'Amphorae status event' });
export type StatusEvent = z.infer<typeof StatusEvent>;

/** Which events somebody wants; what is left out does not matter. */
export interface EventFilter {
  projectId?: string | undefined;
  resources?: readonly string[] | undefined;
  id?: string | undefined;
  loadBalancerId?: string | undefined;
}

export function matches(event: StatusEvent, filter: EventFilter): boolean {
  const { projectId, resources, id, loadBalancerId } = filter;
  return (
    (projectId === undefined || event.project_id === projectId) &&
    (resources === undefined || resources.includes(event.resource)) &&
    (id === undefined || event.id === id) &&
    (loadBalancerId === undefined || event.loadbalancer_id === loadBalancerId)
  );
}

/** Where all events are. */
export const ALL_SUBJECTS = 'amphorae.status.>';

/** `amphorae.status.<resource>.<project>.<id>`: all events of an object have one subject, and no other object has it. */
export function subjectOf({ resource, project_id, id }: StatusEvent): string {
  return `amphorae.status.${resource}.${token(project_id)}.${id}`;
}

/** A project's id comes from outside, and dots, blanks and wildcards mean something in a subject. */
function token(text: string): string {
  return text.replaceAll(/[^A-Za-z0-9_-]/g, '_') || '_';
}
