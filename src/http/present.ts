import type { OperatingStatus, ProvisioningStatus } from '../model/status.ts';

/** `YYYY-MM-DDTHH:MM:SS` in UTC and without a zone: the form that gophercloud parses first (contract A3). */
export function timestamp(time: Date | null): string | null {
  return time === null ? null : time.toISOString().slice(0, 19);
}

interface ProvisionedRow {
  id: string;
  project_id: string;
  admin_state_up: boolean;
  provisioning_status: ProvisioningStatus;
  operating_status: OperatingStatus;
  error_code: string | null;
  error_message: string | null;
  tags: string[];
  created_at: Date;
  updated_at: Date | null;
}

/** What every object has, with its name. */
export function presentCommon(row: ProvisionedRow & { name: string }) {
  return { ...presentProvisioned(row), name: row.name };
}

/** What every object has. `provisioning_error` is ours: Octavia hides why something is in ERROR. */
export function presentProvisioned(row: ProvisionedRow) {
  return {
    id: row.id,
    project_id: row.project_id,
    tenant_id: row.project_id,
    admin_state_up: row.admin_state_up,
    provisioning_status: row.provisioning_status,
    operating_status: row.operating_status,
    provisioning_error:
      row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' },
    tags: row.tags,
    created_at: timestamp(row.created_at),
    updated_at: timestamp(row.updated_at),
  };
}
